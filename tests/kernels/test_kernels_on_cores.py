"""Kernels that are not generated, on emulated cores with both compilers, against the reference."""

from __future__ import annotations

import kernel_driver
import pytest
from hypothesis import HealthCheck, assume, given, settings
from kernel_cases import Case
from kernel_driver import CORTEX_M0, CORTEX_M4, CORTEX_M7, Core, check, kernel_named, shared_kernels_of_bytes
from kernel_steps import steps_for

from quantmcu.codegen.single_step import build_image, kernel_sources, run_on_machine, unpack_codes
from tests.thorough import examples

KERNELS = shared_kernels_of_bytes()
EVERY_SOURCE = tuple(path.name for path in kernel_sources())


def combination(core: Core, compiler: str, quick: bool = False) -> object:
    marks = [*([] if quick else [pytest.mark.slow]), *([pytest.mark.gcc] if compiler == "gcc" else [])]
    return pytest.param(core, compiler, id=f"{core.name}-{compiler}", marks=marks)


@pytest.mark.parametrize(
    ("core", "compiler"),
    [
        combination(CORTEX_M0, "gcc"),
        combination(CORTEX_M0, "zig"),
        combination(CORTEX_M4, "gcc", quick=True),
        combination(CORTEX_M4, "zig"),
        combination(CORTEX_M7, "gcc"),
        combination(CORTEX_M7, "zig"),
    ],
)
@pytest.mark.parametrize("name", KERNELS)
def test_equals_the_reference(name: str, core: Core, compiler: str) -> None:
    """Under the guard: every access lies inside a buffer and is aligned."""
    kernel = kernel_named(name)
    if not core.has_dsp and "dsp" in name:
        return
    machine = kernel_driver.machine(core.name, compiler, True, ("-O2",), EVERY_SOURCE)

    @settings(max_examples=examples(5), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(case=steps_for(kernel))
    def compare(case: Case) -> None:
        context = kernel_driver.context_for(case.step, case.input_shapes, case.output_shape, core, case.output_bits)
        assume(kernel.unsupported(context) is None)
        for in_place in (None, *kernel.in_place_inputs(context)):
            image = build_image(kernel, context, case.codes, 4, in_place)
            data, results = run_on_machine(machine, image)
            check(context, case.codes, unpack_codes(context.output, data[: context.output.nbytes]))
            need = max(kernel_driver.stack_of(machine).need_of(call.function).nbytes for call in image.calls)
            assert max(result.stack_bytes for result in results) <= need < 1024

    compare()
