"""Searches for patch stages: where to split, how to divide, which rows to carry.

The network is cut at its split points: maps that everything later depends on. Between two split points it runs layer
by layer or as one patch stage. So a way to run it is a route through a graph whose nodes are the split points and
whose edges are these choices; a route needs the memory of its hungriest edge and the cycles of all edges together.
Edges are sketched (quantmcu/patch/sketch.py), the best routes built and evaluated exactly as they would be compiled:
with the kernels chosen for their cells, and the memory timeline that the planner places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeVar

from quantmcu.codegen.kernel import Core
from quantmcu.codegen.registry import Facts
from quantmcu.codegen.select import Selection, flat, select_kernels
from quantmcu.patch.axis import Axis
from quantmcu.patch.candidate import Candidate, frontier
from quantmcu.patch.channels import split_channels, widest_channels
from quantmcu.patch.lean import leaner
from quantmcu.patch.receptive_field import NotDivisibleError
from quantmcu.patch.sketch import Division, KnownFacts, StageSketcher
from quantmcu.patch.stage import StagePlan, divisible_steps, split_program, with_inputs_on_demand
from quantmcu.program import steps
from quantmcu.program.program import Program

Progress = Callable[[int, int], None]

HALO_MODES = ("cache", "cache-rows", "cache-narrow", "recompute")
"""How the overlap of cells is treated: rows and columns carried; rows carried; rows carried except where a pointwise
convolution widens; computed again."""

_CELL_SIZES = (1, 2, 3, 4, 6, 8, 12, 18, 28)
_CELL_HEIGHTS_BESIDE_OTHERS = (1, 2, 3, 4, 6, 8)  # with several columns of cells: kept rows make low cells cheap
_MOST_CELLS = 400
_MOST_POINTS_IN_SMALL_CELLS = 6  # of stages that pass more split points, the receptive fields overlap almost wholly
_FEW_CELLS = 8
_MOST_ROWS_COMPUTED_AGAIN = 12
_LARGEST_FRONTIER = 28


@dataclass(frozen=True, eq=False)
class Edge:
    """The network between two split points: a stage, or layer by layer (plan None)."""

    nbytes: int
    cycles: float
    plan: StagePlan | None = None
    halo_mode: str = ""
    channel_parts: int = 1


@dataclass(frozen=True, eq=False)
class Route:
    """From the network's input to a split point."""

    nbytes: int
    cycles: float
    edges: tuple[Edge, ...] = ()

    def extended(self, edge: Edge) -> Route:
        """With one more edge."""
        return Route(max(self.nbytes, edge.nbytes), self.cycles + edge.cycles, (*self.edges, edge))


T = TypeVar("T", Edge, Route)


def divided(
    program: Program,
    stages: Sequence[StagePlan],
    channel_parts: int,
    axes: tuple[Axis, Axis] | None = None,
    *,
    on_demand: bool,
) -> Program:
    """`program` with these stages, the channels at its end in parts, and its inputs on demand where that is wanted.

    Raises:
        NotDivisibleError: a stage is not possible.
    """
    program = split_channels(program, channel_parts)
    if not stages:
        return program
    split = split_program(program, stages, axes)
    return with_inputs_on_demand(split) if on_demand else split


class Search:
    """A search over one program on one core.

    Args:
        program: without stages.
        core: to run on.
        progress: told of split points done and of all.
        halo_modes: those to try.
        input_on_demand: the network's input is no array in RAM: the first stage asks for its parts.
        constant_bytes: flash for weights, tables and generated code; None: any.

    Attributes:
        layers: the candidate without stages.
        points: where stages may begin and end.
    """

    def __init__(
        self,
        program: Program,
        core: Core,
        progress: Progress | None = None,
        *,
        halo_modes: Sequence[str] = HALO_MODES,
        input_on_demand: bool = False,
        constant_bytes: int | None = None,
    ) -> None:
        self.program, self.core, self.constant_bytes = program, core, constant_bytes
        self.progress = progress or (lambda done, total: None)
        self.free = frozenset(program.inputs if input_on_demand else ())
        self.facts = Facts()
        self.points = split_points(program)
        self.axes = (Axis(program, 0), Axis(program, 1))
        self.halo_modes = halo_modes
        self._known = KnownFacts()
        self._sketchers: dict[tuple[int, int], StageSketcher | None] = {}
        self._stage_edges: dict[tuple[int, int, tuple[int, int], str], Sequence[Edge]] = {}
        self._stage_cycles: dict[tuple[int, int, tuple[int, int], str], float] = {}
        self.layers = self.evaluate(())

    def evaluate(
        self, stages: tuple[StagePlan, ...], halo_modes: tuple[str, ...] = (), channel_parts: int = 1
    ) -> Candidate:
        """The program with these stages, exactly.

        Raises:
            NotDivisibleError: a stage is not possible.
        """
        split = divided(self.program, stages, channel_parts, self.axes, on_demand=bool(self.free))
        selections = select_kernels(split, self.core, self.facts, self.constant_bytes)
        return Candidate(stages, halo_modes, channel_parts, split, selections)

    def run(self, most: int = _LARGEST_FRONTIER) -> list[Candidate]:
        """The frontier of memory against predicted cycles, the fastest first; of about `most` candidates."""
        found = [] if self.free else [self.layers, *leaner(self.layers)]
        routes = self._routes()
        for route in _thinned(routes, most):
            item = self.evaluate_route(route)
            if item is not None:
                found += [item, *leaner(item, 0 if route is routes[-1] else route.nbytes)]
        return frontier(found)

    def evaluate_route(self, route: Route) -> Candidate | None:
        """A route to the network's end, exactly; None where it turns out to be impossible, or to be no other way."""
        plans = [(edge.plan, edge.halo_mode) for edge in route.edges if edge.plan is not None]
        parts = route.edges[-1].channel_parts
        if not plans and parts == 1:
            return None
        try:
            found = self.evaluate(tuple(p for p, _ in plans), tuple(mode for _, mode in plans), parts)
        except NotDivisibleError:
            return None
        return found if found.program.on_demand or not self.free else None

    def _routes(self) -> list[Route]:
        """The best routes to the network's end, by memory and cycles."""
        nodes = len(self.points) + 1
        best: list[list[Route]] = [[] for _ in range(nodes + 1)]
        best[0] = [Route(0, 0.0)]
        for node in range(nodes):
            self.progress(node, nodes)
            for end in range(node + 1, nodes + 1):
                edges = _best(self._edges(node, end))
                best[end] = _best([*best[end], *(route.extended(edge) for route in best[node] for edge in edges)])
        return best[nodes]

    def _edges(self, start: int, end: int) -> Iterator[Edge]:
        """All ways from split point `start` to `end`; 0 is the network's input, the last one its end."""
        if end == start + 1 and not (start == 0 and self.free):
            yield from self.layer_edges(start, end)
        for mode in self.halo_modes:
            for grid in self.grids(start, end, mode):
                yield from self.stage_edges(start, end, grid, mode)

    def grids(self, start: int, end: int, mode: str) -> Iterator[tuple[int, int]]:
        """Grids worth trying for the stage from split point `start` to `end`; the fewest columns, then rows, first."""
        if self._sketcher(start, end) is None:
            return
        _, height, width, _ = self.program.output_value(self.points[end - 1]).shape
        for grid in grids(height, width):
            if end - start > _MOST_POINTS_IN_SMALL_CELLS and grid[0] * grid[1] > _FEW_CELLS:
                continue
            if grid[1] == 1 and mode in ("recompute", "cache-rows"):
                continue
            if mode == "recompute" and grid[0] > _MOST_ROWS_COMPUTED_AGAIN:
                continue
            yield grid

    def stage_edges(self, start: int, end: int, grid: tuple[int, int], mode: str) -> Sequence[Edge]:
        """The stage from split point `start` to `end`: with the usual kernels, then with ones of less memory."""
        key = (start, end, grid, mode)
        if key not in self._stage_edges:
            sketcher, plan, division = self._divided(*key)
            sketches = sketcher.sketches(division)
            self._stage_edges[key] = [Edge(sketch.nbytes, sketch.cycles, plan, mode) for sketch in sketches]
        return self._stage_edges[key]

    def stage_cycles(self, start: int, end: int, grid: tuple[int, int], mode: str) -> float:
        """Predicted cycles of the first of `stage_edges`, which take longer to find out."""
        key = (start, end, grid, mode)
        if key not in self._stage_cycles:
            sketcher, _, division = self._divided(*key)
            self._stage_cycles[key] = sketcher.cycles(division)
        return self._stage_cycles[key]

    def _divided(
        self, start: int, end: int, grid: tuple[int, int], mode: str
    ) -> tuple[StageSketcher, StagePlan, Division]:
        sketcher, after = self._sketcher(start, end), self.points[start - 1] if start else None
        assert sketcher is not None
        plan = stage_plan(self.program, self.points[end - 1].name, grid, mode, after)
        return sketcher, plan, Division(grid, plan.carrying, plan.carrying_columns)

    def _between(self, start: int, end: int) -> list[steps.Step]:
        names = [step.name for step in self.program.steps]
        first = names.index(self.points[start - 1].name) + 1 if start else 0
        stop = names.index(self.points[end - 1].name) + 1 if end <= len(self.points) else len(names)
        return list(self.program.steps[first:stop])

    def whole_bytes(self, start: int, end: int) -> int:
        """Bytes of the maps that the stage from split point `start` to `end` reads and writes; 0 if there is none."""
        sketcher = self._sketcher(start, end)
        if sketcher is None:
            return 0
        return sum(self.program.values[name].nbytes for name in (*sketcher.inputs, *sketcher.outputs))

    def _sketcher(self, start: int, end: int) -> StageSketcher | None:
        """Of the stage from split point `start` to `end`; None where there can be none."""
        if (start, end) not in self._sketchers:
            self._sketchers[start, end] = self._made_sketcher(start, end) if end <= len(self.points) else None
        return self._sketchers[start, end]

    def _made_sketcher(self, start: int, end: int) -> StageSketcher | None:
        inside, outputs = self._between(start, end), (self.points[end - 1].output,)
        produced = {step.output for step in inside}
        read = dict.fromkeys(name for step in inside for name in step.inputs if name not in produced)
        inputs = [name for name in read if self.program.values[name].data is None]
        base = {item.step.name: item for item in self.layers.selections if isinstance(item, Selection)}
        try:
            sketcher = StageSketcher(self.program, inside, inputs, outputs, base, self.axes, self.free, self._known)
            sketcher.check()
        except NotDivisibleError:
            return None
        return sketcher

    def layer_edges(self, start: int, end: int) -> Iterator[Edge]:
        """Layer by layer; the network's end also with its widest convolution split by channels."""
        yield self.layer_edge(self.layers, start, end)
        if end > len(self.points):
            for candidate in self._split_by_channels:
                yield self.layer_edge(candidate, start, end)

    @cached_property
    def _split_by_channels(self) -> Sequence[Candidate]:
        """Without stages, with the widest convolution at the network's end split into parts of its channels."""
        return [self.evaluate((), (), parts) for parts in _channel_parts(self.program)]

    def layer_edge(self, candidate: Candidate, start: int, end: int) -> Edge:
        """`candidate` between split points `start` and `end`, where it runs layer by layer."""
        slots = [slot.name for slot in candidate.timeline.slots]
        first = slots.index(self.points[start - 1].name) + 1 if start else 0
        stop = slots.index(self.points[end - 1].name) + 1 if end <= len(self.points) else len(slots)
        cycles = sum(item.cycles for item in flat(candidate.selections)[first:stop])
        return Edge(max(candidate.live[first:stop], default=0), cycles, channel_parts=candidate.channel_parts)


def grids(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Grids worth trying for a map of this size."""
    for columns in sorted({1, *(-(-width // cell) for cell in _CELL_SIZES if cell <= width)}):
        heights = _CELL_SIZES if columns == 1 else _CELL_HEIGHTS_BESIDE_OTHERS
        for rows in sorted({-(-height // cell) for cell in heights if cell <= height}):
            if 1 < rows * columns <= _MOST_CELLS:
                yield rows, columns


def _channel_parts(program: Program) -> list[int]:
    channels = widest_channels(program)
    return [parts for parts in (2, 4, 8, 16) if channels and channels % (4 * parts) == 0]


def _best(items: Iterable[T]) -> list[T]:
    """Those that no other one beats in both memory and cycles, the fastest first."""
    best: list[T] = []
    for item in sorted(items, key=lambda entry: (entry.cycles, entry.nbytes)):
        if not best or item.nbytes < best[-1].nbytes:
            best.append(item)
    return best


def _thinned(routes: Sequence[Route], most: int) -> list[Route]:
    """At most about `most` of the routes, evenly in the logarithm of their memory, both ends included."""
    if len(routes) <= most:
        return list(routes)
    ratio = (routes[0].nbytes / max(1, routes[-1].nbytes)) ** (1 / most)
    kept = [routes[-1]]
    for route in reversed(routes[:-1]):
        if route.nbytes >= kept[-1].nbytes * ratio or route is routes[0]:
            kept.append(route)
    return kept[::-1]


def stage_plan(
    program: Program, last: str, grid: tuple[int, int], mode: str, after: steps.Step | None = None
) -> StagePlan:
    """The stage from behind step `after` to step `last` in a halo mode."""
    rows = _carried(program, mode)
    columns = rows if mode == "cache" else frozenset()
    if rows and not columns and after is not None and _is_like(program, after.output, last):
        columns = frozenset({after.output})  # so that it is loaded once, and the output may lie over it
    return StagePlan(last, grid, rows, after.name if after else None, columns if grid[1] > 1 else frozenset())


@lru_cache(maxsize=8)
def _carried(program: Program, mode: str) -> frozenset[str]:
    """Names of the values that carry rows in a halo mode."""
    if mode == "recompute":
        return frozenset()
    names = frozenset(program.values)
    if mode == "cache-narrow":
        names -= {step.output for step in program.steps if _expands(program, step)}
    return names


def _is_like(program: Program, source: str, last: str) -> bool:
    """Whether a map lies in memory as the output of step `last` does, pixel by pixel."""
    output = program.output_value(next(step for step in program.steps if step.name == last))
    value = program.values[source]
    return (value.shape, value.bits) == (output.shape, output.bits)


def _expands(program: Program, step: steps.Step) -> bool:
    """A pointwise convolution to more channels: cheaper to compute again than to keep."""
    if not isinstance(step, steps.Convolution) or not step.is_pointwise:
        return False
    return program.output_value(step).shape[3] > program.input_values(step)[0].shape[3]


def split_points(program: Program) -> list[steps.Step]:
    """Steps at which a patch stage may begin or end: one map crosses there, and it is no larger than its neighbours."""
    divisible = set(divisible_steps(program))
    points = []
    for index, step in enumerate(program.steps):
        if step.name not in divisible:
            break
        if crossing_values(program, index) != {step.output} or program.output_value(step).shape[1:3] == (1, 1):
            continue
        size = program.output_value(step).nbytes
        following = [program.output_value(s).nbytes for s in program.steps[index + 1 : index + 2]]
        if all(size <= other for other in following) and size <= program.input_values(step)[0].nbytes:
            points.append(step)
    return points


def crossing_values(program: Program, index: int) -> set[str]:
    """Values made before or by step `index` that are needed behind it."""
    later = {name for other in program.steps[index + 1 :] for name in other.inputs} | set(program.outputs)
    return ({step.output for step in program.steps[: index + 1]} | set(program.inputs)) & later
