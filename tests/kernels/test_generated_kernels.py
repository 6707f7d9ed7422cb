"""Generated depthwise kernels against the reference, on the host and on emulated cores."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kernel_driver import CORTEX_M4, CORTEX_M7, check_on_core, check_on_host, context_for, kernel_named
from kernel_steps import Case, convolutions

from quantmcu.codegen.kernel import Core, StepContext

KERNEL = kernel_named("depthwise_generated")
COMPILERS = [pytest.param("gcc", marks=pytest.mark.gcc), "zig"]
CORES = [pytest.param(core, id=core.name) for core in (CORTEX_M4, CORTEX_M7)]

def context_of(case: Case, core: Core) -> StepContext:
    return context_for(case.step, case.input_shapes, case.output_shape, core)


def is_supported(case: Case) -> bool:
    return KERNEL.unsupported(context_of(case, CORTEX_M7)) is None


# Many steps an example: what is generated for them is compiled at once. No shrinking, which would compile for ever.
steps = (convolutions("depthwise", square=True) | convolutions("depthwise")).filter(is_supported)
many = st.lists(steps, min_size=16, max_size=16)
quick = settings(
    max_examples=2, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, phases=[Phase.generate]
)


@quick
@given(many)
def test_equals_the_reference_on_the_host(cases: list[Case]) -> None:
    check_on_host(KERNEL, [(context_of(case, CORTEX_M7), case.codes) for case in cases])


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("core", CORES)
def test_equals_the_reference_on_cores(core: Core, compiler: str) -> None:
    @quick
    @given(many)
    def compare(cases: list[Case]) -> None:
        for run in check_on_core(KERNEL, core, [(context_of(case, core), case.codes) for case in cases], compiler):
            assert run.stack_bytes < 512

    compare()
