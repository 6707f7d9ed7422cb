"""The fastest plan within a memory limit, without the whole frontier of plans.

Within a limit, a way to run the network is the shortest route through its split points (quantmcu/patch/search.py), and
most stages need no look: one where the layers fit by themselves is only slower, and so is one whose copies of maps
alone cost more than the best way that is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from quantmcu.codegen.select import copy_cycles
from quantmcu.patch.candidate import Candidate
from quantmcu.patch.lean import leaner
from quantmcu.patch.search import Edge, Route, Search

_LEEWAY = 1.03
"""Where to begin: the sketched memory differs a little from the exact one."""

_ALIKE = 1.005
"""Sketched cycles that differ by less say nothing of which plan is faster."""

_MOST_AT_ONCE = 8
_MOST_BATCHES = 4


def fastest_candidates(search: Search, limit: int) -> Iterator[Candidate]:
    """Candidates of about `limit` bytes or less, exactly evaluated, the fastest first as far as sketches can say.

    Where a board has several regions, what fits by its bytes may not be placed: then the next ones are asked for, but
    not for ever.
    """
    route = fastest_route(search, int(limit * _LEEWAY))
    layers = [] if search.free else [one for one in leaner(search.layers, limit) if one.arena_bytes <= limit]
    for _ in range(_MOST_BATCHES):
        batch: list[Route] = []
        most = float("inf")
        while route is not None and len(batch) < _MOST_AT_ONCE and route.cycles <= most:
            batch.append(route)
            if route.nbytes <= limit:
                most = min(most, route.cycles * _ALIKE)
            route = fastest_route(search, route.nbytes - 1)
        yield from _fastest_first([*layers, *_evaluated(search, batch, limit)])
        layers = []


def _evaluated(search: Search, routes: Sequence[Route], limit: int) -> list[Candidate]:
    """The routes exactly, and with kernels of less working memory."""
    found = [candidate for route in routes if (candidate := search.evaluate_route(route)) is not None]
    leaner_ones = [smaller for candidate in found for smaller in leaner(candidate, limit)]
    return [*found, *leaner_ones]


def _fastest_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda candidate: (candidate.cycles, candidate.arena_bytes))


def fastest_route(search: Search, limit: int) -> Route | None:
    """The route to the network's end with the fewest cycles whose edges all take at most `limit` bytes."""
    nodes = len(search.points) + 1
    best: dict[int, Route] = {0: Route(0, 0.0)}
    for end in range(1, nodes + 1):
        search.progress(end - 1, nodes)
        if end - 1 in best and not (end == 1 and search.free):
            edge = _fastest_layers(search, end - 1, end, limit)
            if edge is not None:
                best[end] = best[end - 1].extended(edge)
        for start in reversed(range(end)):
            if start not in best or end == nodes:
                continue
            known = best[end].cycles - best[start].cycles if end in best else float("inf")
            edge = _fastest_stage(search, start, end, limit, known)
            if edge is not None:
                best[end] = best[start].extended(edge)
    return best.get(nodes)


def _fastest_layers(search: Search, start: int, end: int, limit: int) -> Edge | None:
    """Layer by layer, as usual where that fits, else with a convolution split by channels; None where nothing fits."""
    usual = search.layer_edge(search.layers, start, end)
    if usual.nbytes <= limit:
        return usual
    fitting = [edge for edge in search.layer_edges(start, end) if edge.nbytes <= limit]
    return min(fitting, key=lambda edge: edge.cycles, default=None)


def _fastest_stage(search: Search, start: int, end: int, limit: int, known: float) -> Edge | None:
    """The stage between two split points with the fewest cycles, fewer than `known`; None where there is none.

    With as many columns, more rows of cells take more cycles.
    """
    layers = search.layer_edge(search.layers, start, end)
    if layers.nbytes <= limit and not (start == 0 and search.free):
        return None
    found: Edge | None = None
    if layers.cycles + copy_cycles(search.whole_bytes(start, end)) >= known:
        return None
    for mode in search.halo_modes:
        for _, by_rows in groupby(search.grids(start, end, mode), key=lambda grid: grid[1]):
            for grid in by_rows:
                if search.stage_cycles(start, end, grid, mode) >= known:
                    break
                edges = search.stage_edges(start, end, grid, mode)
                fitting = [edge for edge in edges if edge.nbytes <= limit and edge.cycles < known]
                if fitting:
                    found = min(fitting, key=lambda edge: edge.cycles)
                    known = found.cycles
    return found
