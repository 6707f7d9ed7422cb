"""Patch stages as C: the same bytes as the reference, on the host, with sanitizers, whatever the grid."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantmcu.build.host import HostModel, SanitizedModel
from quantmcu.build.host_compiler import find_sanitizing_compiler
from quantmcu.codegen.select import select_kernels
from quantmcu.codegen.timeline import memory_timeline
from quantmcu.errors import ToolError
from quantmcu.patch.receptive_field import NotDivisibleError
from quantmcu.patch.search import HALO_MODES, stage_plan
from quantmcu.patch.stage import StagePlan, split_program, with_inputs_on_demand
from tests.patch.generated_c import CORE, assert_c_equals_reference, emitted
from tests.programs import ProgramBuilder, divisible_builders
from tests.thorough import examples


def assert_plans_run(builder, plans, *, on_demand=False, runner=HostModel):
    try:
        patched = split_program(builder.program(), plans)
    except NotDivisibleError as problem:
        if "nothing but padding" not in str(problem):
            raise
        return
    if on_demand:
        patched = with_inputs_on_demand(patched)
    assert_c_equals_reference(builder, patched, runner)


@settings(max_examples=examples(12), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    builder=divisible_builders(),
    grid=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    on_demand=st.booleans(),
    mode=st.sampled_from(["recompute", "rows", "cache", "some"]),
    data=st.data(),
)
def test_random_networks(builder, grid, on_demand, mode, data):
    if not builder.steps:
        return
    _, height, width, _ = builder.shape()
    names = list(builder.values)
    carrying = {
        "recompute": frozenset(),
        "rows": frozenset(names),
        "cache": frozenset(names),
        "some": frozenset(data.draw(st.sets(st.sampled_from(names)))),
    }[mode]
    columns = {
        "cache": frozenset(names),
        "some": carrying & frozenset(data.draw(st.sets(st.sampled_from(names)))),
    }.get(mode, frozenset())
    grid = (min(grid[0], height), min(grid[1], width))
    plan = StagePlan(builder.steps[-1].name, grid, carrying, carrying_columns=columns)
    assert_plans_run(builder, [plan], on_demand=on_demand)


def two_stage_builder(seed):
    builder = ProgramBuilder((21, 18, 3), seed=seed)
    builder.conv(8, strides=(2, 2))
    skip = builder.last
    builder.conv(16, kernel=(1, 1), pads=(0, 0, 0, 0))
    builder.depthwise(kernel=(5, 5), pads=(2, 2, 2, 2))
    builder.conv(8, kernel=(1, 1), pads=(0, 0, 0, 0))
    builder.add(skip)
    middle = builder.steps[-1].name
    builder.conv(16, kernel=(1, 1), pads=(0, 0, 0, 0))
    layers = builder.steps[-1].name
    builder.depthwise(kernel=(3, 3), strides=(2, 2))
    builder.conv(12, kernel=(1, 1), pads=(0, 0, 0, 0))
    return builder, middle, layers, builder.steps[-1].name


@pytest.mark.parametrize("grids", [((3, 2), (2, 1)), ((11, 1), (5, 1)), ((1, 3), (2, 5))])
@pytest.mark.parametrize("mode", HALO_MODES)
def test_stages_in_a_row(grids, mode):
    builder, middle, _, last = two_stage_builder(1)
    program = builder.program()
    behind = next(step for step in program.steps if step.name == middle)
    plans = [stage_plan(program, middle, grids[0], mode), stage_plan(program, last, grids[1], mode, behind)]
    assert_plans_run(builder, plans, on_demand="cache" in mode)


@pytest.mark.parametrize("mode", ["cache-rows", "cache"])
def test_an_output_over_the_input_with_several_columns_of_cells(mode):
    builder = ProgramBuilder((12, 13, 8), seed=6)
    builder.lookup()
    start, skip = builder.steps[-1], builder.last
    builder.conv(24, kernel=(1, 1), pads=(0, 0, 0, 0))
    builder.depthwise(kernel=(3, 3))
    builder.conv(8, kernel=(1, 1), pads=(0, 0, 0, 0))
    builder.add(skip)
    program = builder.program()
    plan = stage_plan(program, program.steps[-1].name, (12, 13), mode, start)
    patched = split_program(program, [plan])
    assert memory_timeline(patched, select_kernels(patched, CORE)).overlays == {program.outputs[0]: start.output}
    assert_plans_run(builder, [plan])


def test_layers_between_stages():
    builder, middle, layers, last = two_stage_builder(2)
    carrying = frozenset(builder.values)
    assert_plans_run(builder, [StagePlan(middle, (4, 2), carrying), StagePlan(last, (2, 2), carrying, after=layers)])


def test_carried_rows_of_odd_channels():
    """What follows carried rows is aligned to 4 bytes, not to 8."""
    builder = ProgramBuilder((20, 12, 3), seed=5)
    for channels in (5, 12, 4):
        builder.conv(channels)
        builder.depthwise(kernel=(3, 3))
    assert_plans_run(builder, [StagePlan(builder.steps[-1].name, (20, 1), frozenset(builder.values))])


@pytest.mark.slow
def test_with_sanitizers():
    try:
        find_sanitizing_compiler()
    except ToolError as error:
        pytest.skip(str(error))
    builder, middle, _, last = two_stage_builder(3)
    carrying = frozenset(builder.values)
    plans = [StagePlan(middle, (4, 2), carrying), StagePlan(last, (2, 2), carrying)]
    assert_plans_run(builder, plans, on_demand=True, runner=SanitizedModel)


@pytest.mark.parametrize("carry", [True, False])
def test_code_does_not_grow_with_the_grid(carry):
    """A larger map in more cells of the same size changes the rows of tables, not the code."""

    def code(size, grid):
        builder = ProgramBuilder((size, size, 3), seed=4)
        builder.conv(8, strides=(2, 2))
        builder.depthwise(kernel=(3, 3))
        builder.conv(4, kernel=(1, 1), pads=(0, 0, 0, 0))
        carrying = frozenset(builder.values) if carry else frozenset()
        files = emitted(split_program(builder.program(), [StagePlan(builder.steps[-1].name, grid, carrying)])).files
        text = [
            line for line in files["model.c"].splitlines() if not line.startswith(("        {.", "    static const u"))
        ]
        return len(text), {name: text for name, text in files.items() if name.startswith("kernels/")}

    assert code(32, (4, 4)) == code(64, (8, 8))
