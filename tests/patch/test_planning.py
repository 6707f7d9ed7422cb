"""Choosing a plan: what is chosen, forced, refused, and the wording."""

import pytest

from quantmcu.errors import QuantMCUError, UsageError
from quantmcu.memory.budget import budget_of
from quantmcu.patch.request import PatchRequest
from quantmcu.planning import choose_plan, plan_frontier
from quantmcu.report.frontier import render_frontier
from quantmcu.targets import load_board
from tests.patch.test_search import mobile_builder

BOARD = load_board("nucleo-f411")
RESERVED = BOARD.stack_bytes + 4096


@pytest.fixture(scope="module")
def program():
    return mobile_builder(32).program()


def planned(program, arena=None, **request):
    budget = budget_of(BOARD, ram=None if arena is None else arena + RESERVED)
    return choose_plan(program, BOARD, budget, PatchRequest(**request))


def test_layer_by_layer_where_it_fits(program):
    plan = planned(program)
    assert not plan.candidate.stages
    assert plan.mac_factor == 1.0
    assert plan.notes == ()


def test_patches_where_it_does_not(program):
    room = planned(program).candidate.arena_bytes // 2
    plan = planned(program, room)
    assert plan.candidate.stages
    assert plan.memory.arena_bytes <= room
    assert "layer by layer the feature maps need" in plan.notes[0]
    assert "runs in patches" in plan.notes[1]
    smaller = planned(program, room, objective="ram")
    assert smaller.memory.arena_bytes < plan.memory.arena_bytes


def test_a_forced_stage(program):
    plan = planned(program, patch="3x2", split_at="linear_7", halo="recompute")
    (stage,) = plan.candidate.stages
    assert (stage.last, stage.grid, stage.carrying) == ("linear_7", (3, 2), frozenset())
    assert plan.mac_factor > 1


def test_a_grid_alone_and_a_split_alone(program):
    assert planned(program, patch="4x1").candidate.stages[0].grid == (4, 1)
    assert planned(program, split_at="linear_7").candidate.stages[0].last == "linear_7"


@pytest.mark.slow
def test_too_little_ram_names_the_smallest_that_works():
    program = mobile_builder(64).program()
    with pytest.raises(QuantMCUError) as caught:
        planned(program, 1000)
    text = str(caught.value)
    assert "no plan fits: the smallest needs" in text
    assert "sets it; alive at once:" in text
    needed = int(text.split("the smallest RAM that works is ")[1].split(" ")[0].replace(",", ""))
    assert planned(program, needed - RESERVED).memory.arena_bytes <= needed
    with pytest.raises(QuantMCUError):
        planned(program, needed - RESERVED - 64)


def test_without_patches_the_hint_names_them(program):
    with pytest.raises(QuantMCUError, match=r"--patch auto"):
        planned(program, 1000, patch="off")


def test_unknown_node(program):
    with pytest.raises(UsageError, match=r"the model has no node 'linear_77'[\s\S]*did you mean linear_7"):
        planned(program, patch="2x2", split_at="linear_77")


def test_grid_finer_than_the_map(program):
    with pytest.raises(UsageError, match=r"a grid of 90x2 is finer than the map[\s\S]*at most --patch 8x8"):
        planned(program, patch="90x2", split_at="linear_7")


def test_a_stage_that_needs_whole_maps():
    builder = mobile_builder()
    builder.average_pool(kernel=(1, 1), strides=(1, 1), pads=(1, 1, 1, 1))
    with pytest.raises(QuantMCUError, match=r"no patch stage can end here[\s\S]*nothing but padding"):
        planned(builder.program(), patch="3x3", split_at=builder.steps[-1].name)


@pytest.mark.parametrize(
    ("request_", "wording"),
    [
        ({"patch": "3by3"}, "'3by3' is no grid"),
        ({"patch": "0x3"}, "'0x3' is no grid"),
        ({"halo": "none"}, "'none' is no halo mode"),
        ({"objective": "flash"}, "'flash' is no objective"),
        ({"patch": "off", "split_at": "x"}, "--split-at: needs patches, and --patch is off"),
        ({"patch": "off", "input_on_demand": True}, "--input-on-demand: needs patches"),
    ],
)
def test_requests_that_contradict_themselves(request_, wording):
    with pytest.raises(UsageError, match=wording):
        PatchRequest(**request_)


def test_the_frontier_and_its_picture(program):
    budget = budget_of(BOARD)
    candidates, chosen = plan_frontier(program, BOARD, budget, PatchRequest())
    assert chosen == 0
    from quantmcu.plan_data import describe_candidate

    plans = [describe_candidate(candidate, candidates[0]) for candidate in candidates]
    picture = render_frontier(
        {"model": "a<b", "board": BOARD.id, "arena_capacity_bytes": budget.arena_bytes, "frontier": plans, "chosen": 0}
    )
    assert picture.startswith("<svg")
    assert "a&lt;b" in picture
    assert picture.count("<title>") == len(candidates)
