"""Packed multiplication: against the reference, on the host and on emulated cores, at the limits of its fields too."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from convolution_steps import convolutions
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kernel_driver import (
    CORTEX_M0,
    CORTEX_M4,
    CORTEX_M7,
    Codes,
    check_on_core,
    check_on_host,
    kernel_named,
)
from packed_cases import context_of, narrowed

from quantmcu.codegen.kernel import Core, Kernel, StepContext
from quantmcu.codegen.kernels.outer_generated import best_outer_plan
from quantmcu.codegen.kernels.outer_plan import OuterPlan, outer_plans
from quantmcu.codegen.registry import Facts, choose_kernel
from quantmcu.emulator.objects import compilers
from quantmcu.emulator.timing import cycle_model
from quantmcu.ir.tensor import QParams
from quantmcu.program.fixed_point import requantize_for
from quantmcu.program.program import Value
from quantmcu.program.steps import Convolution
from quantmcu.targets import load_board
from tests.thorough import examples

KERNEL, DENSE, LARGE = (
    kernel_named(f"packed_outer_{kind}") for kind in ("generated", "dense_generated", "dense_large_generated")
)
ALL = pytest.mark.parametrize("kernel", [KERNEL, DENSE, LARGE], ids=lambda kernel: kernel.name)
ZIG = pytest.param("zig", marks=pytest.mark.slow) if shutil.which("arm-none-eabi-gcc") else "zig"
COMPILERS = [pytest.param("gcc", marks=pytest.mark.gcc), ZIG]
CORES = [pytest.param(core, id=core.name) for core in (CORTEX_M4, CORTEX_M7)]
SLOW_M7 = replace(CORTEX_M7, long_multiply_cycles=2)
Bits = tuple[int, int, int]  # of input, weights and output
Cases = list[tuple[StepContext, list[Codes]]]

once = settings(
    max_examples=1, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, phases=[Phase.generate]
)


def pointwise(
    bits: Bits,
    size: tuple[int, int],
    channels: int,
    outputs: int,
    core: Core,
    weight: np.ndarray | None = None,
    codes: np.ndarray | None = None,
    ratio: float = 1.0,
    kernel: int = 1,
) -> tuple[StepContext, list[Codes]]:
    """A convolution of kernel x kernel, padded to keep the size; random weights and codes where none are given."""
    input_bits, weight_bits, output_bits = bits
    random = np.random.default_rng(channels * outputs)
    limit, highest = 2 ** (weight_bits - 1) - 1, 2**output_bits - 1
    if weight is None:
        weight = random.integers(-limit, limit + 1, (outputs, kernel, kernel, channels))
    if codes is None:
        codes = random.integers(0, 2**input_bits, (1, *size, channels))
    depth = weight[0].size
    spread = ratio * highest / (np.sqrt(depth) * limit * 2**input_bits * 0.5)
    step = Convolution(
        name="conv", inputs=("in0",), output="out", weight=weight.astype(np.int8), weight_bits=weight_bits,
        bias=random.integers(-20, 20, outputs).astype(np.int32), input_zero_point=int(random.integers(2**input_bits)),
        requantize=requantize_for(random.uniform(0.5, 1.5, outputs) * spread, highest // 2, 0, highest),
        pads=(kernel // 2,) * 4,
    )  # fmt: skip
    values = [
        Value(name, shape, width, QParams(width, 1.0, 0))
        for name, shape, width in (("in0", codes.shape, input_bits), ("out", (1, *size, outputs), output_bits))
    ]
    return StepContext(step, (values[0],), values[1], core), [codes.astype(np.uint8)]


def plan_of(context: StepContext) -> OuterPlan:
    plan = best_outer_plan(context)
    assert isinstance(plan, OuterPlan), plan
    return plan


@st.composite
def random_cases(draw: st.DrawFn, core: Core, count: int) -> Cases:
    """Convolutions of any shape and bits that the kernel supports."""
    found: Cases = []
    while len(found) < count:
        case = draw(convolutions("dense"))
        input_bits, output_bits, weight_bits = (draw(st.sampled_from(b)) for b in ([4, 2, 8], [4, 2, 8], [4, 2]))
        narrow = narrowed(case, (input_bits,), output_bits, weight_bits)
        context = context_of(narrow, (input_bits,), output_bits, core)
        if KERNEL.unsupported(context) is None:
            found.append((context, list(narrow.codes)))
    return found


@cache
def fixed(core: Core) -> Cases:
    """All schemes and stores, loops and parts, tails of pixels and channels, both directions in place."""
    made = [
        pointwise((4, 4, 4), (4, 4), 64, 16, core),
        pointwise((4, 4, 8), (3, 5), 40, 8, core),
        pointwise((2, 2, 2), (3, 6), 160, 8, core),
        pointwise((2, 2, 4), (1, 7), 16, 12, core),
        pointwise((8, 2, 8), (4, 3), 32, 8, core),
        pointwise((8, 2, 4), (2, 2), 12, 24, core),
        pointwise((4, 2, 4), (3, 3), 24, 8, core),
        pointwise((2, 4, 4), (5, 3), 48, 4, core),
        pointwise((4, 4, 4), (3, 3), 9, 7, core),
        pointwise((4, 4, 4), (2, 3), 600, 4, core),
        pointwise((8, 4, 8), (2, 2), 60, 4, core),
        pointwise((8, 4, 8), (2, 3), 64, 8, core, np.repeat([1, 7], 4 * 64).reshape(8, 1, 1, 64)),
        pointwise((8, 4, 4), (9, 9), 96, 12, core),
        pointwise((4, 2, 4), (8, 8), 200, 8, core),
        pointwise((2, 2, 8), (2, 3), 700, 5, core, ratio=40.0),
        pointwise((4, 4, 2), (5, 5), 16, 4, core, kernel=3),
        pointwise((2, 2, 8), (4, 5), 16, 8, core, kernel=3, ratio=40.0),
    ]
    plans = [plan_of(context) for context, _ in made]
    assert {plan.kernel.fields for plan in plans} == {2, 3}
    assert {plan.kernel.output_bits for plan in plans} == {8, 4, 2}
    assert {plan.kernel.is_loop for plan in plans} == {False, True}
    in_parts = [plan for plan in plans if plan.kernel.in_parts]
    assert {plan.kernel.is_loop for plan in in_parts} == {False, True}
    assert any(len(set(plan.parts)) > 1 for plan in in_parts), "blocks are divided each in its way"
    assert {plan.whole_pixels for plan in plans} == {False, True}
    assert {plan.kernel.shift > 0 for plan in plans} == {False, True}
    return made


@cache
def extreme(core: Core) -> Cases:
    """Sums that just fit their fields: all codes and weights at their limits, in every channel, with either sign."""
    made = []
    for bits, channels in (((4, 4, 8), 156), ((2, 2, 8), 341), ((8, 2, 8), 128), ((4, 2, 8), 68), ((2, 4, 8), 24)):
        input_bits, weight_bits, _ = bits
        highest, limit = 2**input_bits - 1, 2 ** (weight_bits - 1) - 1
        for pattern in ("positive", "negative", "mixed"):
            weight = np.full((8, 1, 1, channels), limit)
            if pattern == "negative":
                weight[:] = -limit
            elif pattern == "mixed":
                weight[::2] = -limit
                weight[:, :, :, ::2] *= -1
            codes = np.full((1, 1, 12, channels), highest)
            codes[:, :, ::3] = 0
            codes[:, :, 1::3, ::2] = 0
            made.append(pointwise(bits, (1, 12), channels, 8, core, weight, codes))
        assert not plan_of(made[-1][0]).kernel.in_parts
    return made


def supported(kernel: Kernel, cases: Cases) -> Cases:
    found = [case for case in cases if kernel.unsupported(case[0]) is None]
    assert found
    return found


@ALL
def test_equals_the_reference_on_the_host(kernel: Kernel) -> None:
    check_on_host(kernel, supported(kernel, [*fixed(CORTEX_M7), *extreme(CORTEX_M7)]))


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(
    ("kernel", "core"),
    [
        pytest.param(KERNEL, CORTEX_M4, id="m4"),
        pytest.param(KERNEL, CORTEX_M7, id="m7", marks=pytest.mark.slow),
        pytest.param(DENSE, CORTEX_M4, id="dense-m4", marks=pytest.mark.slow),
        pytest.param(DENSE, CORTEX_M7, id="dense-m7", marks=pytest.mark.slow),
        pytest.param(LARGE, CORTEX_M7, id="large-m7"),
    ],
)
def test_equals_the_reference_on_cores(kernel: Kernel, core: Core, compiler: str) -> None:
    """Under the guard: every access lies inside a buffer and is aligned."""
    for run in check_on_core(kernel, core, supported(kernel, [*fixed(core), *extreme(core)]), compiler):
        assert run.stack_bytes < 512


def test_random_convolutions_on_the_host() -> None:
    @once
    @given(random_cases(CORTEX_M7, examples(12)))
    def compare(cases: Cases) -> None:
        check_on_host(KERNEL, cases)

    compare()


@pytest.mark.gcc
@pytest.mark.parametrize("core", CORES)
def test_random_convolutions_on_cores(core: Core) -> None:
    @once
    @given(random_cases(core, examples(20)))
    def compare(cases: Cases) -> None:
        check_on_core(KERNEL, core, cases)

    compare()


@pytest.mark.parametrize(
    ("bits", "fields", "most"),
    [((4, 4, 4), 2, 156), ((2, 2, 2), 3, 341), ((2, 2, 2), 2, 10922), ((8, 2, 8), 2, 128)],
    ids=["w4a4", "w2a2", "w2a2-2", "w2a8"],
)
def test_inputs_are_divided_where_a_sum_could_pass_its_field(bits: Bits, fields: int, most: int) -> None:
    def parts(channels: int) -> int:
        weight = np.full((4, 1, 1, channels), 2 ** (bits[1] - 1) - 1)
        plans = outer_plans(pointwise(bits, (2, 2), channels, 4, CORTEX_M7, weight)[0], fields)
        assert not isinstance(plans, str)
        return min(plan.all_parts for plan in plans)

    assert [parts(most), parts(most + 1)] == [1, 2]


@pytest.mark.parametrize("core", [*CORES, pytest.param(SLOW_M7, id="cortex-m7, SMLAL in two cycles")])
def test_predicted_cycles_are_those_measured(core: Core) -> None:
    made = [
        pointwise((4, 4, 4), (9, 9), 64, 24, core),
        pointwise((2, 2, 2), (6, 8), 96, 16, core),
        pointwise((8, 2, 8), (6, 6), 32, 32, core),
        pointwise((4, 4, 4), (7, 7), 16, 16, core, kernel=3),
        pointwise((4, 4, 4), (4, 4), 600, 8, core),
        pointwise((8, 4, 8), (8, 8), 128, 16, core),
    ]
    model = cycle_model(core.name, long_multiply_cycles=core.long_multiply_cycles)
    runs = check_on_core(KERNEL, core, made, compilers()[0], guard=False, model=model)
    for (context, _), run in zip(made, runs, strict=True):
        assert KERNEL.cycles(context) == pytest.approx(run.cycles, rel=0.15)


def test_a_manifest_may_say_that_long_multiplications_take_two_cycles() -> None:
    board = load_board("nucleo-f767")
    assert Core.of(board, "balanced") == CORTEX_M7
    slow = replace(board, cycle_model={**board.cycle_model, "parameters": {"long_multiply_cycles": 2}})
    assert Core.of(slow) == SLOW_M7


def test_the_fastest_kernel_is_chosen() -> None:
    """Not packed multiplication for little work: the tile of a group of pixels costs as much for a single one."""
    shapes = (((9, 9), 64, 32), ((1, 1), 64, 1), ((1, 1), 9, 2))
    made = [pointwise((4, 4, 4), size, channels, outputs, CORTEX_M7) for size, channels, outputs in shapes]
    measured = {
        kernel: check_on_core(kernel_named(kernel), CORTEX_M7, made, compilers()[0], guard=False)
        for kernel in ("packed_outer_generated", "packed_conv2d_dsp", "packed_conv2d_portable")
    }
    chosen = [choose_kernel([(context, 1)], Facts()).name for context, _ in made]
    for i, name in enumerate(chosen):
        assert measured[name][i].cycles <= 1.1 * min(runs[i].cycles for runs in measured.values())
    assert chosen[0] == "packed_outer_generated" != chosen[-1], chosen


def test_says_what_it_cannot_do() -> None:
    def reason(bits: Bits = (4, 4, 4), core: Core = CORTEX_M7, weight: Sequence[int] | None = None) -> str | None:
        weights = None if weight is None else np.array(weight).reshape(1, 1, 1, -1)
        return KERNEL.unsupported(pointwise(bits, (2, 2), 8, 1, core, weights)[0])

    assert reason() is None
    assert reason(core=CORTEX_M0) == "cores with DSP instructions only"
    assert reason(weight=[-8, 0, 0, 0, 0, 0, 0, 7]) == "weights from -7 only"
    assert reason((8, 8, 8)) == "weights of 4 or 2 bits only"
