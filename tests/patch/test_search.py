"""The search: sketches against exact stages, its frontier, and the split by channels."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantmcu.codegen.kernel import Core
from quantmcu.codegen.select import select_kernels
from quantmcu.codegen.timeline import memory_timeline
from quantmcu.memory.buffers import collect_buffers
from quantmcu.memory.planner import ArenaRegion, plan_memory
from quantmcu.patch.axis import Axis
from quantmcu.patch.channels import split_channels, widest_channels
from quantmcu.patch.lean import leaner
from quantmcu.patch.receptive_field import NotDivisibleError
from quantmcu.patch.search import HALO_MODES, Search, split_points, stage_plan
from quantmcu.patch.stage import StagePlan, split_program
from quantmcu.program.macs import program_macs
from quantmcu.reference import execute
from tests.programs import ProgramBuilder, divisible_builders

CORE = Core("cortex-m7", True, True)


def mobile_builder(size=40, seed=0):
    """A small network like MobileNetV2, a wide convolution and a global pooling at its end."""
    builder = ProgramBuilder((size, size, 3), seed=seed)
    builder.conv(8, strides=(2, 2))
    for channels, stride in ((8, 2), (8, 1), (16, 2), (16, 1)):
        skip, before = builder.last, builder.shape()[3]
        builder.conv(before * 4, kernel=(1, 1), pads=(0, 0, 0, 0))
        builder.depthwise(strides=(stride, stride))
        builder.conv(channels, kernel=(1, 1), pads=(0, 0, 0, 0))
        if stride == 1 and channels == before:
            builder.add(skip)
    builder.conv(64, kernel=(1, 1), pads=(0, 0, 0, 0))
    builder.average_pool(kernel=builder.shape()[1:3], strides=(1, 1))
    return builder


@settings(max_examples=60, deadline=None)
@given(
    builder=divisible_builders(), rows=st.integers(1, 6), columns=st.integers(1, 4), mode=st.sampled_from(HALO_MODES)
)
def test_the_axes_know_what_the_exact_stage_computes(builder, rows, columns, mode):
    if not builder.steps:
        return
    program = builder.program()
    _, height, width, _ = builder.shape()
    rows, columns = min(rows, height), min(columns, width)
    plan = stage_plan(program, program.steps[-1].name, (rows, columns), mode)
    try:
        (stage,) = split_program(program, [plan]).steps
    except NotDivisibleError:
        return
    across = Axis(program, 1).trace(program.steps, program.outputs, columns, plan.carrying_columns)
    down = Axis(program, 0).trace(program.steps, program.outputs, rows, plan.carrying)
    for step in program.steps:
        name = step.output
        fresh = [cell.fresh(name).shape for cell in stage.cells if step.name in cell.steps]
        assert sum(s[1] * s[2] for s in fresh) == down.computed[name] * across.computed[name]
        held = [cell.values[name].shape for cell in stage.cells if name in cell.values]
        assert max(s[1] for s in held) == down.longest[name]
        assert max(s[2] for s in held) == across.longest[name]


def test_split_points_are_single_small_maps():
    program = mobile_builder().program()
    shapes = [program.output_value(step).shape[1:] for step in split_points(program)]
    assert shapes == [(20, 20, 8), (10, 10, 8), (10, 10, 8), (5, 5, 16), (5, 5, 16)]


def test_the_frontier_falls_and_its_plans_can_be_placed():
    search = Search(mobile_builder(64).program(), CORE)
    found = search.run()
    assert found[0] is search.layers
    sizes = [candidate.arena_bytes for candidate in found]
    assert sizes == sorted(sizes, reverse=True)
    assert [c.cycles for c in found] == sorted(c.cycles for c in found)
    assert sizes[-1] < 0.5 * sizes[0]
    half = next(c for c in found if c.arena_bytes <= sizes[0] / 2)
    assert half.macs <= 1.01 * search.layers.macs
    for candidate in found:
        plan = plan_memory(candidate.buffers, len(candidate.timeline.slots), [ArenaRegion("ram", 2**20)])
        assert plan.arena_bytes <= 1.02 * candidate.arena_bytes


@pytest.mark.slow
def test_input_on_demand_needs_no_input():
    program = mobile_builder(64).program()
    with_input = Search(program, CORE).run()[-1].arena_bytes
    search = Search(program, CORE, input_on_demand=True)
    found = search.run()
    assert all(candidate.program.on_demand == {"input"} for candidate in found)
    assert found[-1].arena_bytes < with_input
    assert all("input" not in candidate.timeline.nbytes for candidate in found)


def test_kernels_with_less_working_memory_where_it_sets_the_peak():
    program = mobile_builder(32).program()
    search = Search(program, CORE)
    candidate = search.evaluate((stage_plan(program, split_points(program)[1].name, (2, 1), "cache"),), ("cache",))
    found = [candidate, *leaner(candidate)]
    assert len(found) > 1
    for before, after in pairwise(found):
        assert after.arena_bytes < before.arena_bytes
        assert after.cycles > before.cycles
        assert after.macs == before.macs


def test_only_the_halo_modes_asked_for():
    found = Search(mobile_builder().program(), CORE, halo_modes=("recompute",)).run()
    assert {mode for candidate in found for mode in candidate.halo_modes} == {"recompute"}
    assert found[-1].macs > found[0].macs


@pytest.mark.parametrize("parts", [2, 8])
def test_split_by_channels(parts):
    builder = mobile_builder()
    program, inputs = builder.program(), builder.inputs()
    split = split_channels(program, parts)
    assert widest_channels(program) == 64
    assert program_macs(split) == program_macs(program)
    np.testing.assert_array_equal(execute(program, inputs)[builder.last], execute(split, inputs)[builder.last])
    with pytest.raises(ValueError, match="64 channels can't be divided by 5"):
        split_channels(program, 5)


def test_the_output_lies_over_the_input_where_rows_are_loaded_once():
    builder = ProgramBuilder((16, 16, 8), seed=1)
    builder.lookup()
    start = builder.steps[-1].name
    builder.depthwise()
    builder.conv(8, kernel=(1, 1), pads=(0, 0, 0, 0))
    program = builder.program()

    def overlays(grid, carrying):
        plan = StagePlan(program.steps[-1].name, grid, carrying, after=start)
        split = split_program(program, [plan])
        timeline = memory_timeline(split, select_kernels(split, CORE))
        collect_buffers(timeline)
        return dict(timeline.overlays)

    everything = frozenset(program.values)
    assert overlays((8, 1), everything) == {program.outputs[0]: program.steps[0].output}
    assert overlays((8, 1), frozenset()) == {}  # rows are loaded again
    assert overlays((8, 2), everything) == {}  # the second column begins at the top again
