"""Choosing a plan: what is chosen, forced, refused, and the wording."""

import re
from dataclasses import replace

import pytest

from quantmcu.errors import QuantMCUError, UsageError
from quantmcu.memory.budget import budget_of
from quantmcu.patch.request import PatchRequest
from quantmcu.patch.search import Search
from quantmcu.placing import fits, place, smallest_plan
from quantmcu.planning import choose_plan, plan_frontier
from quantmcu.report.frontier import render_frontier
from quantmcu.targets import load_board
from tests.patch.test_search import CORE, mobile_builder

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


@pytest.mark.parametrize(
    ("board_id", "size", "seed"),
    [
        ("nucleo-f411", 32, 0),
        pytest.param("nucleo-f746", 24, 1, marks=pytest.mark.slow),
        pytest.param("pico", 40, 2, marks=pytest.mark.slow),
        pytest.param("nucleo-f411", 64, 0, marks=pytest.mark.slow),
    ],
)
def test_too_little_ram_names_the_smallest_that_works(board_id, size, seed):
    board, program = load_board(board_id), mobile_builder(size, seed).program()

    def plan_in(ram):
        return choose_plan(program, board, budget_of(board, ram=ram), PatchRequest())

    reserved = board.stack_bytes + 4096
    with pytest.raises(QuantMCUError) as caught:
        plan_in(reserved + 1000)
    text = str(caught.value)
    assert "no plan fits: the smallest needs" in text
    assert re.search(r"sets it(, with [\d,]+ bytes of gaps between the arrays)?; alive at once:", text)
    assert re.search(r" in a patch of the stage ending at \w+ [\d,]+", text)
    needed = int(text.split("the smallest RAM that works is ")[1].split(" ")[0].replace(",", ""))
    assert f"the smallest needs {needed - reserved:,} bytes" in text
    assert plan_in(needed).memory.arena_bytes == needed - reserved
    with pytest.raises(QuantMCUError):
        plan_in(needed - 8)


@pytest.mark.parametrize("first_region", [512, 1500, 2600])
def test_the_smallest_ram_is_that_of_the_boards_regions(first_region):
    """Arrays lie in one region each: a board with two may need more than one with a single region."""
    whole = load_board("nucleo-f746")
    sizes = {"dtcm": whole.stack_bytes + 4096 + first_region}
    board = replace(whole, memory=tuple(replace(r, size=sizes.get(r.name, r.size)) for r in whole.memory))
    layers = Search(mobile_builder(16).program(), CORE).layers
    smallest = smallest_plan([layers], board)
    assert smallest.is_on_board
    assert place(layers, budget_of(board, ram=smallest.ram_bytes).regions)
    assert not fits(layers, budget_of(board, ram=smallest.ram_bytes - 8))


def test_more_ram_than_the_board_has_is_said_to_be_one_region():
    layers = Search(mobile_builder(16).program(), CORE).layers
    memory = tuple(replace(r, size=RESERVED + 64) if r.name == "sram" else r for r in BOARD.memory)
    board = replace(BOARD, memory=memory)
    smallest = smallest_plan([layers], board)
    assert not smallest.is_on_board
    assert smallest.ram_bytes == RESERVED + smallest.memory.arena_bytes


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
