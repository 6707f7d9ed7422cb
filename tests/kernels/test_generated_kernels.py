"""Kernels generated for shape and core, on random steps against the reference; see also test_matmul_generated.py."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kernel_driver import CORTEX_M4, CORTEX_M7, Codes, check_on_core, check_on_host, context_for, kernel_named
from kernel_steps import Case, steps_for
from test_packed_kernels import context_of as packed_context
from test_packed_kernels import narrow_cases

from quantmcu.codegen.kernel import Core, Kernel, StepContext
from quantmcu.codegen.packed import is_packed

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


def many(kernel: Kernel, core: Core, count: int = 20) -> st.SearchStrategy[list[Case]]:
    """So many steps an example: what is generated for them is compiled at once."""
    supported = steps_for(kernel).filter(lambda case: kernel.unsupported(context_of(case, core)) is None)
    return st.lists(supported, min_size=count, max_size=count)


@by_kernel
def test_equals_the_reference_on_the_host(kernel: Kernel) -> None:
    @once
    @given(many(kernel, CORTEX_M7, 8))
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


def test_depthwise_of_packed_maps_equals_the_reference_on_the_host() -> None:
    check_on_host(DEPTHWISE, packed(DEPTHWISE, CORTEX_M7, 8))


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("core", CORES)
def test_depthwise_of_packed_maps_equals_the_reference_on_cores(core: Core, compiler: str) -> None:
    """Under the guard."""
    for run in check_on_core(DEPTHWISE, core, packed(DEPTHWISE, core, 12), compiler):
        assert run.stack_bytes < 512


@by_kernel
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("core", CORES)
def test_equals_the_reference_on_cores(kernel: Kernel, core: Core, compiler: str) -> None:
    """Under the guard: every access lies inside a buffer and is aligned."""

    @once
    @given(many(kernel, core))
    def compare(cases: list[Case]) -> None:
        for run in check_on_core(kernel, core, [(context_of(case, core), case.codes) for case in cases], compiler):
            assert run.stack_bytes < 512

    compare()
