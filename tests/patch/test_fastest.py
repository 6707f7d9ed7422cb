"""The fastest plan within a limit, found without the frontier, is the frontier's."""

import pytest

from quantmcu.memory.budget import budget_of
from quantmcu.patch.fastest import fastest_candidates, fastest_route
from quantmcu.patch.request import PatchRequest
from quantmcu.patch.search import Search
from quantmcu.planning import choose_plan, place, stage_search
from quantmcu.targets import load_board
from tests.patch.test_search import CORE, mobile_builder

BOARD = load_board("nucleo-f411")


@pytest.fixture(scope="module")
def program():
    return mobile_builder(64).program()


@pytest.mark.parametrize(
    "share", [*(pytest.param(s, marks=pytest.mark.slow) for s in (0.85, 0.6, 0.3)), 0.45], ids="{:.2f}".format
)
@pytest.mark.parametrize("on_demand", [False, True])
def test_it_is_the_first_of_the_frontier_that_fits(program, share, on_demand):
    request = PatchRequest(input_on_demand=on_demand)
    layers = Search(program, CORE).layers
    budget = budget_of(BOARD, ram=int(layers.arena_bytes * share) + BOARD.stack_bytes + 4096)
    search = stage_search(program, BOARD, budget, request, None)
    frontier = [candidate for candidate in search.run() if candidate.arena_bytes <= budget.arena_bytes]
    found = choose_plan(program, BOARD, budget, request).candidate
    assert found.arena_bytes <= budget.arena_bytes
    assert found.cycles <= frontier[0].cycles
    assert place(found, budget.regions).arena_bytes <= budget.arena_bytes


def test_nothing_where_no_route_is_so_small(program):
    search = Search(program, CORE)
    assert fastest_route(search, 1000) is None
    assert list(fastest_candidates(search, 1000)) == []
    route = fastest_route(search, search.layers.arena_bytes)
    assert route is not None
    assert route.cycles == pytest.approx(search.layers.cycles)
    assert search.evaluate_route(route) is None  # layer by layer
