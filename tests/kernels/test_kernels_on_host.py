"""Every kernel, compiled for this computer under sanitizers, against the reference on random steps."""

from __future__ import annotations

import kernel_driver
import pytest
from hypothesis import HealthCheck, assume, given, settings
from kernel_cases import Case
from kernel_steps import steps_for

from quantmcu.codegen.registry import all_kernels
from quantmcu.program import steps
from quantmcu.program.stages import PatchStage
from tests.thorough import examples

KERNELS = kernel_driver.shared_kernels_of_bytes()


@pytest.mark.parametrize("name", KERNELS)
def test_kernel_equals_reference(name: str) -> None:
    kernel = kernel_driver.kernel_named(name)
    computed = 0

    @settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(case=steps_for(kernel))
    def compare(case: Case) -> None:
        nonlocal computed
        context = kernel_driver.context_for(case.step, case.input_shapes, case.output_shape, bits=case.output_bits)
        assume(kernel.unsupported(context) is None)
        computed += 1
        kernel_driver.check(context, case.codes, kernel_driver.run_on_host(kernel, context, case.codes))
        for index in kernel.in_place_inputs(context):
            output = kernel_driver.run_on_host(kernel, context, case.codes, in_place=index)
            kernel_driver.check(context, case.codes, output)

    compare()
    assert computed >= 5, "hardly any random step is of a form that this kernel supports"


def test_every_step_has_a_kernel() -> None:
    """A patch stage is computed by the kernels of the steps in it."""
    with_kernel = {kernel.step_type for kernel in all_kernels()}
    assert set(steps.Step.__subclasses__()) - {PatchStage} <= with_kernel
