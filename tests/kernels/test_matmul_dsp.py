"""The C kernel for convolutions without groups against the reference."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_driver import CORTEX_M0, CORTEX_M4, CORTEX_M7, check, kernel_named, run_on_core, run_on_host
from matmul_cases import Shape, make_case, shapes

from quantmcu.codegen.kernel import Core
from tests.thorough import examples

ZIG = pytest.param("zig", marks=pytest.mark.slow) if shutil.which("arm-none-eabi-gcc") else "zig"
COMPILERS = [pytest.param("gcc", marks=pytest.mark.gcc), ZIG]
KERNEL = kernel_named("matmul_dsp")


@settings(max_examples=examples(80), deadline=None)
@given(
    shape=shapes(),
    seed=st.integers(0, 2**31),
    extreme=st.sampled_from(["random", "random", "low", "high", "aligned"]),
    ratio=st.sampled_from([1.0, 0.01, 4.0, 300.0]),
    limits=st.sampled_from([(0, 255), (0, 255), (3, 255), (17, 200)]),
)
def test_equals_the_reference_on_the_host(
    shape: Shape, seed: int, extreme: str, ratio: float, limits: tuple[int, int]
) -> None:
    context, codes = make_case(shape, seed, extreme=extreme, ratio=ratio, limits=limits)
    if KERNEL.unsupported(context) is not None:
        assert "saturation" in str(KERNEL.unsupported(context))
        return
    check(context, [codes], run_on_host(KERNEL, context, [codes]))
    for index in KERNEL.in_place_inputs(context):
        check(context, [codes], run_on_host(KERNEL, context, [codes], in_place=index))


CASES = [
    Shape((6, 7), 16, 6, (3, 3), pads=(1, 1, 1, 1)),
    Shape((7, 6), 3, 5, (3, 3), (2, 2), pads=(0, 0, 1, 1)),
    Shape((5, 5), 42, 9),
    Shape((5, 6), 8, 8, strides=(2, 2)),
    Shape((9, 9), 4, 3, (3, 2), dilations=(2, 3), pads=(2, 1, 0, 3)),
    Shape((1, 1), 64, 10),
]


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("core", [CORTEX_M4, CORTEX_M7], ids=lambda core: core.name)
@pytest.mark.parametrize("extreme", ["random", "high"])
def test_equals_the_reference_on_cores(core: Core, compiler: str, extreme: str) -> None:
    for seed, shape in enumerate(CASES):
        context, codes = make_case(shape, seed, core, extreme=extreme)
        result = run_on_core(KERNEL, context, [codes], compiler)
        check(context, [codes], result.output)
        assert result.stack_bytes < 1024


def test_says_what_it_cannot_do() -> None:
    context, _ = make_case(Shape((3, 3), 4, 4), 0, CORTEX_M0)
    assert KERNEL.unsupported(context) == "cores with DSP instructions only"
    context, _ = make_case(Shape((3, 3), 400, 4), 0, ratio=1e6, extreme="high")
    assert KERNEL.unsupported(context) == "accumulators that can't reach the saturation only"
    context, _ = make_case(Shape((12, 12), 4, 4, (9, 9), dilations=(1, 1)), 0)
    assert KERNEL.unsupported(context) is None
