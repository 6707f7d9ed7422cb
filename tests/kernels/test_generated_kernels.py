"""Kernels generated for shape and core, on random steps against the reference; see also test_matmul_generated.py."""

from __future__ import annotations

import struct
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kernel_cases import Case
from kernel_driver import (
    CORTEX_M4,
    CORTEX_M7,
    Codes,
    HostServer,
    check,
    check_on_core,
    check_on_host,
    context_for,
    kernel_named,
    sanitizer_flags,
)
from kernel_steps import steps_for
from matmul_cases import Shape, make_case
from packed_cases import context_of as packed_context
from packed_cases import narrow_cases

from quantmcu.codegen.kernel import Core, Kernel, StepContext
from quantmcu.codegen.packed import is_packed
from quantmcu.codegen.registry import all_kernels
from quantmcu.codegen.single_step import build_image, kernel_sources, source_paths, unpack_codes
from tests.thorough import examples

COMPILERS = [pytest.param("gcc", marks=pytest.mark.gcc), pytest.param("zig", marks=pytest.mark.slow)]
M4_WITHOUT_FPU = Core("cortex-m4", has_dsp=True, has_fpu=False)
CORES = [
    pytest.param(CORTEX_M4, id="m4"),
    pytest.param(M4_WITHOUT_FPU, id="m4-without-fpu", marks=pytest.mark.slow),
    pytest.param(CORTEX_M7, id="m7"),
]
DEPTHWISE = kernel_named("depthwise_generated")
KERNELS = [DEPTHWISE, kernel_named("linear_generated")]
by_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)

# No shrinking, which would compile for ever.
once = settings(
    max_examples=1, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, phases=[Phase.generate]
)


def context_of(case: Case, core: Core) -> StepContext:
    return context_for(case.step, case.input_shapes, case.output_shape, core)


def many(kernel: Kernel, core: Core, count: int) -> st.SearchStrategy[list[Case]]:
    """So many steps an example: what is generated for them is compiled at once."""
    supported = steps_for(kernel).filter(lambda case: kernel.unsupported(context_of(case, core)) is None)
    return st.lists(supported, min_size=count, max_size=count)


@by_kernel
def test_equals_the_reference_on_the_host(kernel: Kernel) -> None:
    @once
    @given(many(kernel, CORTEX_M7, examples(3)))
    def compare(cases: list[Case]) -> None:
        check_on_host(kernel, [(context_of(case, CORTEX_M7), case.codes) for case in cases])

    compare()


@cache
def packed(kernel: Kernel, core: Core, count: int) -> list[tuple[StepContext, tuple[Codes, ...]]]:
    """Up to so many random steps with packed maps."""
    found: list[tuple[StepContext, tuple[Codes, ...]]] = []

    @settings(once, max_examples=12 * count)
    @given(narrow_cases(kernel))
    def collect(drawn: tuple[Case, tuple[int, ...], int]) -> None:
        context = packed_context(*drawn, core)
        if len(found) < count and is_packed(context) and kernel.unsupported(context) is None:
            found.append((context, drawn[0].codes))

    collect()
    assert len(found) > count // 2
    return found


BANDED = [kernel for kernel in all_kernels() if kernel.name.endswith("_bands")]


def test_bands_of_packed_maps_equal_the_reference_on_the_host() -> None:
    """All of them in one program, in place too."""
    steps = [(kernel, *step) for kernel in BANDED for step in packed(kernel, CORTEX_M7, examples(4))]
    with TemporaryDirectory() as name:
        sources = {path for kernel, context, _ in steps for path in source_paths(kernel.lower(context), Path(name))}
        server = HostServer(sanitizer_flags(), sorted(sources - set(kernel_sources())))
    for kernel, context, codes in steps:
        for in_place in (None, *kernel.in_place_inputs(context)):
            data = server.run(build_image(kernel, context, codes, struct.calcsize("P"), in_place))
            check(context, codes, unpack_codes(context.output, data[: context.output.nbytes]))
    server.close()


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("core", [CORTEX_M4, pytest.param(CORTEX_M7, marks=pytest.mark.slow)], ids=["m4", "m7"])
@pytest.mark.parametrize("kernel", BANDED, ids=lambda kernel: kernel.name)
def test_bands_of_packed_maps_equal_the_reference_on_cores(kernel: Kernel, core: Core, compiler: str) -> None:
    """Under the guard."""
    check_on_core(kernel, core, packed(kernel, core, examples(4)), compiler)


@pytest.mark.gcc
@pytest.mark.parametrize("core", [CORTEX_M4, CORTEX_M7], ids=str)
def test_packed_maps_cost_little_more_time_than_bytes(core: Core) -> None:
    """Pointwise, 96 to 24 channels: the prediction holds, and 4 bits take at most 15 % longer."""
    cycles = {}
    for bits in (8, 4):
        context, codes = make_case(Shape((9, 9), 96, 24), 0, core, largest_weight=40, limits=(0, 2**bits - 1))
        source, output = (replace(value, bits=bits) for value in (*context.inputs, context.output))
        context = replace(context, inputs=(source,), output=output)
        kernel = kernel_named("matmul_generated" if bits == 8 else "convolution_bands")
        (run,) = check_on_core(kernel, core, [(context, [codes & np.uint8(2**bits - 1)])], guard=False)
        assert kernel.cycles(context) == pytest.approx(run.cycles, rel=0.1)
        cycles[bits] = run.cycles
    assert cycles[4] < 1.15 * cycles[8]


def test_depthwise_of_packed_maps_equals_the_reference_on_the_host() -> None:
    check_on_host(DEPTHWISE, packed(DEPTHWISE, CORTEX_M7, examples(6)))


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("core", CORES)
def test_depthwise_of_packed_maps_equals_the_reference_on_cores(core: Core, compiler: str) -> None:
    """Under the guard."""
    for run in check_on_core(DEPTHWISE, core, packed(DEPTHWISE, core, examples(8)), compiler):
        assert run.stack_bytes < 512


@by_kernel
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("core", CORES)
def test_equals_the_reference_on_cores(kernel: Kernel, core: Core, compiler: str) -> None:
    """Under the guard: every access lies inside a buffer and is aligned."""

    @once
    @given(many(kernel, core, examples(15)))
    def compare(cases: list[Case]) -> None:
        for run in check_on_core(kernel, core, [(context_of(case, core), case.codes) for case in cases], compiler):
            assert run.stack_bytes < 512

    compare()
