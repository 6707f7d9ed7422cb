"""Stages of two classes (VDPC) as C: the same bytes as the reference, on the host, on emulated cores, in both modes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st

from quantmcu.build.host import HostModel, SanitizedModel
from quantmcu.build.host_compiler import find_sanitizing_compiler
from quantmcu.codegen.kernel import Core
from quantmcu.codegen.select import StageSelection, select_kernels
from quantmcu.codegen.timeline import memory_timeline
from quantmcu.errors import ToolError
from quantmcu.patch.classes import with_dynamic_classes, with_static_classes
from quantmcu.patch.receptive_field import NotDivisibleError
from quantmcu.patch.stage import StagePlan, split_program, with_inputs_on_demand
from quantmcu.program import steps
from quantmcu.program.program import Program
from quantmcu.program.stages import OutlierTest, PatchStage
from quantmcu.reference import execute
from tests.narrow_programs import narrowed
from tests.patch.generated_c import emitted
from tests.programs import ProgramBuilder, divisible_builders
from tests.thorough import examples


def stage_of(program: Program) -> PatchStage:
    return next(step for step in program.steps if isinstance(step, PatchStage))


def two_classes(builder: ProgramBuilder, grid: tuple[int, int], bits: dict[str, int]) -> tuple[Program, Program]:
    """The program in patches; and with inner maps of fewer bits, and so other integers."""
    wide = builder.program()
    narrow = narrowed(wide, bits)
    plans = [StagePlan(builder.steps[-1].name, grid)]
    return split_program(wide, plans), split_program(narrow, plans)


def assert_c_equals_reference(program: Program, samples: list[dict[str, np.ndarray]], runner=HostModel):
    with runner(emitted(program).files, "-O0") as model:
        for inputs in samples:
            expected = execute(program, inputs)
            outputs = model.infer([inputs[name] for name in program.inputs])
            for name, output in zip(program.outputs, outputs, strict=True):
                np.testing.assert_array_equal(expected[name], output)


def patchy_inputs(builder: ProgramBuilder) -> list[dict[str, np.ndarray]]:
    """Quiet, loud in one corner, loud all over: cells of one class, of both, of the other."""
    shape = builder.shape("input")
    quiet = builder.random.integers(100, 140, shape).astype(np.uint8)
    corner = quiet.copy()
    corner[0, : shape[1] // 3, : shape[2] // 3] = 250
    return [{"input": codes} for codes in (quiet, corner, builder.inputs()["input"])]


@settings(
    max_examples=examples(12),
    deadline=None,
    phases=[Phase.reuse, Phase.generate],  # each example compiles: no shrinking
    suppress_health_check=list(HealthCheck),
)
@given(
    builder=divisible_builders(),
    grid=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    fraction=st.sampled_from([0.0, 0.02, 0.3]),
    mode=st.sampled_from(["dynamic", "dynamic on demand", "static"]),
    data=st.data(),
)
def test_random_networks(builder, grid, fraction, mode, data):
    if not builder.steps:
        reject()
    _, height, width, _ = builder.shape()
    inner = [step.output for step in builder.steps[:-1]]
    bits = {name: data.draw(st.sampled_from([8, 4, 4, 2])) for name in inner}
    try:
        wide, narrow = two_classes(builder, (min(grid[0], height), min(grid[1], width)), bits)
    except NotDivisibleError:
        reject()  # cells of nothing but padding
    if mode == "static":
        cells = len(stage_of(wide).cells)
        classes = data.draw(st.lists(st.booleans(), min_size=cells, max_size=cells))
        program = with_static_classes(wide, narrow, classes)
    else:
        program = with_dynamic_classes(wide, narrow, OutlierTest("input", 90, 150, fraction))
    if mode.endswith("demand"):
        program = with_inputs_on_demand(program)
    assert_c_equals_reference(program, patchy_inputs(builder))


def block_builder(seed: int = 3) -> tuple[ProgramBuilder, dict[str, int]]:
    """A network whose maps inside have 4 bits in the narrow branch, one of them 8."""
    builder = ProgramBuilder((21, 18, 3), seed=seed)
    builder.conv(8, strides=(2, 2))
    skip = builder.last
    builder.conv(16, kernel=(1, 1), pads=(0, 0, 0, 0))
    builder.depthwise(kernel=(5, 5), pads=(2, 2, 2, 2))
    same = builder.last
    builder.conv(8, kernel=(1, 1), pads=(0, 0, 0, 0))
    builder.add(skip)
    builder.conv(12, kernel=(1, 1), pads=(0, 0, 0, 0))
    return builder, {step.output: 8 if step.output == same else 4 for step in builder.steps[:-1]}


def dynamic_program(fraction: float = 0.0) -> tuple[ProgramBuilder, Program]:
    builder, bits = block_builder()
    wide, narrow = two_classes(builder, (3, 2), bits)
    return builder, with_dynamic_classes(wide, narrow, OutlierTest("input", 90, 150, fraction))


def test_branches_of_the_same_kernels_share_weights_and_code() -> None:
    """Other integers at 8 bits: parameters of their own, but one array of weights and one copy of each kernel."""
    builder, _ = block_builder()
    wide = builder.program()
    cooler = replace(
        wide,
        steps=tuple(
            replace(step, requantize=replace(step.requantize, zero_point=100))
            if isinstance(step, steps.Convolution) and step is not wide.steps[-1]
            else step
            for step in wide.steps
        ),
    )
    plans = [StagePlan(wide.steps[-1].name, (3, 2))]
    first, second = split_program(wide, plans), split_program(cooler, plans)
    both = emitted(with_dynamic_classes(first, second, OutlierTest("input", 90, 150)))
    alone = emitted(first)
    arrays = [{line for line in e.files["weights.h"].splitlines() if "_weight" in line} for e in (both, alone)]
    assert arrays[0] == arrays[1]
    added = both.files.keys() - alone.files.keys()
    assert added == {"kernels/outliers.h", "kernels/outliers_dsp.c"}
    assert both.files["model.c"].count("static void run_") == alone.files["model.c"].count("static void run_") + 1
    assert "? cell : cell + 6]" in both.files["model.c"]


@pytest.mark.parametrize("core", [Core("cortex-m4", True, True), Core("cortex-m0plus", False, False)], ids=str)
def test_kernels_memory_and_worst_case(core: Core) -> None:
    _, program = dynamic_program()
    (item,) = select_kernels(program, core)
    assert isinstance(item, StageSelection)
    stage = item.stage
    assert [len(selection.contexts) for selection in item.selections] == [6] + [12] * len(stage.order)
    assert ("dsp" in item.selections[0].kernel_names) == core.has_dsp
    assert {len(selection.kernels) for selection in item.selections[1:]} == {2}
    by_class = item.by_class(lambda selection, context: selection.answer(context).cycles)
    worst = sum(max(costs) for costs in by_class)
    rest = item.selections[0].cycles
    assert sum(selection.cycles for selection in item.selections) == pytest.approx(worst + rest)
    for share in (0.0, 0.25, 1.0):
        average = sum(share * outlier + (1 - share) * narrow for outlier, narrow in by_class)
        shared = item.with_shares([share] * 6)
        assert sum(selection.cycles for selection in shared.selections) == pytest.approx(average + rest)
        assert sum(s.macs for s in shared.selections) == sum(s.macs for s in item.selections)
    timeline = memory_timeline(program, [item])
    sizes = [
        max(cell.values["convolution_1_out"].nbytes for cell in cells) for cells in (stage.cells, stage.narrow_cells)
    ]
    assert sizes[0] == 2 * sizes[1]
    assert timeline.nbytes[item.local("convolution_1_out")] == sizes[0]


def test_static_classes_need_the_memory_of_what_runs() -> None:
    builder, bits = block_builder()
    wide, narrow = two_classes(builder, (3, 2), bits)
    peaks = []
    for is_outlier in (False, True):
        program = with_static_classes(wide, narrow, [is_outlier] * 6)
        (item,) = select_kernels(program, Core("cortex-m4", True, True))
        peaks.append(memory_timeline(program, [item]).nbytes[item.local("convolution_1_out")])
    assert peaks[1] == 2 * peaks[0]


@pytest.mark.slow
@pytest.mark.parametrize("on_demand", [False, True])
def test_with_sanitizers(on_demand: bool) -> None:
    try:
        find_sanitizing_compiler()
    except ToolError as error:
        pytest.skip(str(error))
    builder, program = dynamic_program(0.1)
    program = with_inputs_on_demand(program) if on_demand else program
    assert_c_equals_reference(program, patchy_inputs(builder), SanitizedModel)
