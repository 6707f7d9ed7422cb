"""Generated kernels for convolutions without groups: against the reference, on the host and on emulated cores."""

from __future__ import annotations

import shutil
from functools import cache

import numpy as np
import pytest
from kernel_driver import (
    CORTEX_M0,
    CORTEX_M4,
    CORTEX_M7,
    MEMORY_FUNCTIONS,
    Codes,
    check_on_core,
    check_on_host,
    generated_sources,
    kernel_named,
)
from matmul_cases import Shape, make_case

from quantmcu.codegen.assembly import Control, Scheme
from quantmcu.codegen.kernel import Core, StepContext
from quantmcu.codegen.kernels.matmul_generated import best_plan
from quantmcu.codegen.kernels.matmul_plan import Plan
from quantmcu.codegen.single_step import kernel_sources
from quantmcu.emulator.elf import Elf
from quantmcu.emulator.objects import compile_for_core, compilers
from quantmcu.program.steps import Convolution
from tests.thorough import examples

KERNEL = kernel_named("matmul_generated")
ZIG = pytest.param("zig", marks=pytest.mark.slow) if shutil.which("arm-none-eabi-gcc") else "zig"
COMPILERS = [pytest.param("gcc", marks=pytest.mark.gcc), ZIG]
CORES = [pytest.param(core, id=core.name) for core in (CORTEX_M4, CORTEX_M7)]

RANDOM = examples(8)  # besides the fixed ones
FIXED = [
    Shape((6, 9), 16, 6, (3, 3), pads=(1, 1, 1, 1)),
    Shape((7, 6), 3, 5, (3, 3), (2, 2), pads=(0, 0, 1, 1)),
    Shape((6, 7), 1, 4, (5, 4), (2, 2), pads=(4, 1, 5, 1)),
    Shape((5, 5), 42, 9),
    Shape((3, 3), 256, 4),
    Shape((1, 2), 400, 3),
    Shape((12, 13), 8, 12),
    Shape((12, 13), 8, 20, strides=(1, 2)),
    Shape((5, 6), 8, 8, strides=(2, 2)),
    Shape((9, 9), 4, 3, (3, 2), dilations=(2, 3), pads=(2, 1, 0, 3)),
    Shape((1, 1), 64, 10),
    Shape((1, 1), 23, 2),
    Shape((4, 4), 100, 4, (1, 3), pads=(0, 1, 0, 1)),
]


def random_shape(random: np.random.Generator) -> Shape:
    """A small convolution of any form without groups."""
    pointwise = random.random() < 0.4
    kernel = (1, 1) if pointwise else (int(random.integers(1, 6)), int(random.integers(1, 6)))
    dilations = (1, 1) if random.random() < 0.7 else (int(random.integers(1, 3)), int(random.integers(1, 4)))
    pads = (0, 0, 0, 0) if pointwise else tuple(int(p) for p in random.integers(0, 3, 4))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    size = tuple(max(1, reach[i] - pads[i] - pads[i + 2]) + int(random.integers(0, 9)) for i in range(2))
    channels = int(random.integers(1, 50)) if random.random() < 0.5 else 4 * int(random.integers(1, 17))
    strides = (int(random.integers(1, 4)), int(random.integers(1, 4)))
    return Shape(size, channels, int(random.integers(2, 14)), kernel, strides, dilations, pads)


# Largest weights and ratios of scales. Weights of -128 do not fit the half-extension; large ratios need a left shift;
# small ones of 4-bit weights a right shift of the sums.
EIGHT_BITS = [(127, 1.0), (127, 0.0001), (128, 100.0), (127, 100.0), (128, 1.0)]
FOUR_BITS = [(7, 1.0), (8, 0.0001), (8, 1.0), (7, 3.0)]


def cases(core: Core, random_count: int) -> list[tuple[StepContext, list[Codes]]]:
    """Steps that the kernel supports, all schemes and ways of control among them."""
    found = [*cases_of(core, random_count, 8), *cases_of(core, random_count, 4)]
    plans = [plan_of(context) for context, _ in found]
    assert {plan.scheme for plan in plans} == set(Scheme)
    assert {plan.whole.right_shift > 0 for plan in plans} == {False, True}
    return found


@cache
def cases_of(core: Core, random_count: int, weight_bits: int) -> list[tuple[StepContext, list[Codes]]]:
    """Those with weights of so many bits."""
    random = np.random.default_rng(2024)
    extremes = ("random", "low", "high", "aligned")
    found = []
    ranges = EIGHT_BITS if weight_bits == 8 else FOUR_BITS
    for seed, shape in enumerate([*FIXED, *(random_shape(random) for _ in range(random_count))]):
        largest_weight, ratio = ranges[seed % len(ranges)]
        limits = [(0, 255), (0, 255), (9, 230)][seed % 3]
        context, codes = make_case(shape, seed, core, largest_weight, extremes[seed % 4], ratio, limits, weight_bits)
        if KERNEL.unsupported(context) is None:
            found.append((context, [codes]))
    assert len(found) > 0.8 * (len(FIXED) + random_count)
    plans = [plan_of(context) for context, _ in found]
    assert {plan.whole.control for plan in plans} == set(Control)
    assert {plan.layout.phases > 0 for plan in plans} == {False, True}
    assert {plan.layout.backwards for plan in plans} == {False, True}
    return found


def plan_of(context: StepContext) -> Plan:
    """The kernel's plan for a step that it supports."""
    plan = best_plan(context)
    assert isinstance(plan, Plan), plan
    return plan


def test_equals_the_reference_on_the_host() -> None:
    check_on_host(KERNEL, cases(CORTEX_M7, RANDOM))


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("core", CORES)
def test_equals_the_reference_on_cores(core: Core, compiler: str) -> None:
    """Under the guard: every access lies inside a buffer and is aligned."""
    for run in check_on_core(KERNEL, core, cases(core, RANDOM), compiler):
        assert run.stack_bytes < 1024


def test_half_extension_is_used_up_to_its_limits() -> None:
    """The largest accumulators that the schemes may meet, and one more."""
    schemes = []
    for channels in (256, 260, 516, 520):  # 255 * 127 * 259 < 2**23 < 255 * 127 * 260, 255 * 127 * 518 < 2**24
        context, _ = make_case(Shape((2, 2), channels, 2), 0, extreme="high")
        assert isinstance(context.step, Convolution)
        context.step.bias[:] = 0
        schemes.append(plan_of(context).scheme)
    assert schemes == [Scheme.HALF, Scheme.RESTORED, Scheme.RESTORED, Scheme.PLAIN]


def widest(core: Core) -> list[tuple[StepContext, list[Codes]]]:
    """The least and greatest sums of the widest window, around a bias that needs all 32 bits."""
    made = [make_case(Shape((1, 1), 518, 6), 0, core, extreme=extreme) for extreme in ("low", "high", "aligned")]
    for context, _ in made:
        assert isinstance(context.step, Convolution)
        context.step.bias[:] += np.array([2**30, -(2**30), 2**24, 0, -(2**24), 5], np.int32)
        assert plan_of(context).scheme is Scheme.RESTORED
    return [(context, [codes]) for context, codes in made]


def test_sums_are_restored_over_the_whole_window_on_the_host() -> None:
    check_on_host(KERNEL, widest(CORTEX_M7))


@pytest.mark.gcc
@pytest.mark.parametrize("core", CORES)
def test_sums_are_restored_over_the_whole_window_on_cores(core: Core) -> None:
    check_on_core(KERNEL, core, widest(core), "gcc")


def test_loops_fit_the_instruction_cache_of_cortex_m4() -> None:
    for channels in (16, 24, 64, 96, 144, 160, 320, 960, 1280):
        whole = plan_of(make_case(Shape((4, 4), channels, 8), 0, CORTEX_M4)[0]).whole
        assert whole.groups * whole.code_of_group < 1024


MOBILENET_V2 = [
    (32, 16), (16, 96), (96, 24), (24, 144), (144, 24), (144, 32), (32, 192), (192, 32), (192, 64), (64, 384),
    (384, 64), (384, 96), (96, 576), (576, 96), (576, 160), (160, 960), (960, 160), (960, 320), (320, 1280),
]  # fmt: skip


@pytest.mark.gcc
@pytest.mark.parametrize("core", CORES)
def test_code_of_mobilenet_v2_stays_small(core: Core) -> None:
    contexts = [make_case(Shape((9, 9), c, n), 0, core, largest_weight=20)[0] for c, n in MOBILENET_V2]
    contexts.append(make_case(Shape((9, 9), 3, 32, (3, 3), (2, 2), pads=(1, 1, 1, 1)), 0, core)[0])
    contexts.append(make_case(Shape((1, 1), 1280, 1000), 0, core, largest_weight=20)[0])
    include = (f"-I{kernel_sources()[0].parent}", f"-I{MEMORY_FUNCTIONS.parent}")
    with generated_sources(KERNEL, contexts) as sources:
        elf = Elf(compile_for_core([*sources, MEMORY_FUNCTIONS], core.name, ("-O2", *include)))
    assert sum(function.size for function in elf.functions) < 48 << 10


PREDICTED = [
    Shape((16, 16), 16, 16, (3, 3), pads=(1, 1, 1, 1)),
    Shape((16, 16), 3, 16, (3, 3), pads=(1, 1, 1, 1)),
    Shape((12, 12), 64, 24),
    Shape((1, 1), 128, 64),
]


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize(("name", "weight_bits"), [("matmul_generated", (8, 4)), ("matmul_dsp", (8,))])
def test_predicted_cycles_are_those_measured(core: Core, name: str, weight_bits: tuple[int, ...]) -> None:
    kernel = kernel_named(name)
    made = [make_case(s, 0, core, largest_weight=40, weight_bits=bits) for bits in weight_bits for s in PREDICTED]
    steps = [(context, [codes]) for context, codes in made]
    for (context, _), run in zip(steps, check_on_core(kernel, core, steps, compilers()[0], guard=False), strict=True):
        assert kernel.cycles(context) == pytest.approx(run.cycles, rel=0.2)


@pytest.mark.parametrize("core", CORES)
def test_weights_of_4_bits_cost_no_more_time_where_pixels_share_them(core: Core) -> None:
    shapes = [Shape((6, 12), 64, 64), Shape((3, 3), 160, 320), Shape((3, 3), 960, 64), Shape((9, 9), 32, 96)]
    made = [make_case(s, 0, core, weight, weight_bits=bits) for bits, weight in ((8, 40), (4, 7)) for s in shapes]
    runs = check_on_core(KERNEL, core, [(c, [codes]) for c, codes in made], compilers()[0], guard=False)
    eight, four = (sum(run.cycles for run in half) for half in (runs[: len(shapes)], runs[len(shapes) :]))
    assert four < 1.08 * eight


def test_generates_the_same_text_twice() -> None:
    texts = [KERNEL.lower(make_case(FIXED[0], 0)[0]).generated for _ in range(2)]
    assert texts[0] == texts[1]


def test_says_what_it_cannot_do() -> None:
    assert KERNEL.unsupported(make_case(FIXED[0], 0, CORTEX_M0)[0]) == "cores with DSP instructions only"
    assert KERNEL.unsupported(make_case(Shape((3, 3), 4, 1), 0)[0]) == "two output channels or more"
    two_bits = make_case(FIXED[0], 0, largest_weight=1, weight_bits=2)[0]
    assert KERNEL.unsupported(two_bits) == "weights of 8 or 4 bits only"
    wide = make_case(Shape((3, 12), 1200, 2, (1, 3)), 0)[0]
    assert KERNEL.unsupported(wide) == "receptive fields of neighbouring pixels within 4 KiB of the tile"
