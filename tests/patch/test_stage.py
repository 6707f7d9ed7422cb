"""Patched output equals unpatched output, byte for byte."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantmcu.patch.receptive_field import NotDivisibleError
from quantmcu.patch.search import HALO_MODES, stage_plan
from quantmcu.patch.stage import StagePlan, split_program
from quantmcu.program.stages import PatchStage
from quantmcu.reference import execute
from tests.programs import ProgramBuilder, divisible_builders


def assert_same(builder, plans, outputs=None):
    program = builder.program(outputs)
    patched = split_program(program, plans)
    assert sum(isinstance(step, PatchStage) for step in patched.steps) == len(plans)
    inputs = builder.inputs()
    expected, got = execute(program, inputs), execute(patched, inputs)
    for name in program.outputs:
        np.testing.assert_array_equal(expected[name], got[name])


@settings(max_examples=150, deadline=None)
@given(builder=divisible_builders(), rows=st.integers(1, 5), columns=st.integers(1, 5), data=st.data())
def test_patched_equals_unpatched(builder, rows, columns, data):
    if not builder.steps:
        return
    last = data.draw(st.sampled_from(builder.steps))
    _, height, width, _ = builder.shape(last.output)
    names = list(builder.values)
    carrying = frozenset(data.draw(st.sets(st.sampled_from(names)))) if data.draw(st.booleans()) else frozenset(names)
    in_columns = frozenset(data.draw(st.sets(st.sampled_from(names)))) if data.draw(st.booleans()) else frozenset(names)
    grid = (min(rows, height), min(columns, width))
    try:
        assert_same(builder, [StagePlan(last.name, grid, carrying, carrying_columns=in_columns & carrying)])
    except NotDivisibleError as problem:
        if "nothing but padding" not in str(problem):
            raise


@settings(max_examples=60, deadline=None)
@given(
    first=divisible_builders(layers=2),
    grids=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=2, max_size=2),
    modes=st.lists(st.sampled_from(HALO_MODES), min_size=2, max_size=2),
)
def test_several_stages_in_a_row(first, grids, modes):
    builder = first
    builder.conv(4)
    middle = builder.steps[-1]
    builder.depthwise(kernel=(3, 3))
    builder.conv(8, kernel=(1, 1), pads=(0, 0, 0, 0))
    plans = []
    after = None
    for step, grid, mode in zip((middle, builder.steps[-1]), grids, modes, strict=True):
        _, height, width, _ = builder.shape(step.output)
        cells = (min(grid[0], height), min(grid[1], width))
        plans.append(stage_plan(builder.program(), step.name, cells, mode, after))
        after = step
    try:
        assert_same(builder, plans)
    except NotDivisibleError as problem:
        if "nothing but padding" not in str(problem):
            raise


def test_a_stage_with_two_outputs():
    builder = ProgramBuilder((12, 10, 3), seed=1)
    early = builder.conv(4, strides=(2, 2))
    builder.conv(8)
    late = builder.conv(4, strides=(2, 2))
    assert_same(builder, [StagePlan(builder.steps[-1].name, (2, 3))], outputs=(early, late))


@pytest.mark.parametrize("grid", [(6, 1), (1, 4), (5, 3), (12, 8)])
def test_with_carried_rows_and_columns_nothing_is_computed_twice(grid):
    builder = ProgramBuilder((24, 16, 4), seed=2)
    builder.conv(8)
    builder.depthwise(kernel=(5, 5), pads=(2, 2, 2, 2))
    builder.conv(4, strides=(2, 2))
    program = builder.program()
    (stage,) = split_program(program, [stage_plan(program, program.steps[-1].name, grid, "cache")]).steps
    assert isinstance(stage, PatchStage)
    for step in program.steps:
        elements = sum(cell.fresh(step.output).elements for cell in stage.cells if step.name in cell.steps)
        assert elements == program.output_value(step).elements


def test_steps_that_need_whole_maps_are_refused():
    builder = ProgramBuilder((8, 8, 4), seed=3)
    builder.conv(4)
    with pytest.raises(NotDivisibleError, match="a grid of 9x1 can't divide"):
        split_program(builder.program(), [StagePlan(builder.steps[-1].name, (9, 1))])
    with pytest.raises(NotDivisibleError, match="there is no step nowhere"):
        split_program(builder.program(), [StagePlan("nowhere", (1, 1))])
