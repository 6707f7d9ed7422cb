"""Chooses how the network runs: layer by layer, or with which patch stages; and where everything lies in memory.

The choice is made among exactly evaluated candidates (quantmcu/patch/search.py), and only those count whose buffers
were really placed in the board's memory regions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from quantmcu.codegen.kernel import Core
from quantmcu.codegen.optimize import Optimize
from quantmcu.codegen.select import select_kernels
from quantmcu.errors import QuantMCUError, UsageError
from quantmcu.memory.budget import Budget, budget_of, ram_error
from quantmcu.memory.buffers import tenants_at
from quantmcu.memory.describe import describe_array
from quantmcu.memory.planner import ALIGNMENT, DoesNotFitError, MemoryPlan
from quantmcu.patch.candidate import Candidate, frontier
from quantmcu.patch.fastest import fastest_candidates
from quantmcu.patch.lean import leaner
from quantmcu.patch.receptive_field import NotDivisibleError
from quantmcu.patch.request import PatchRequest, find_step
from quantmcu.patch.search import HALO_MODES, Search, divided, grids, stage_plan
from quantmcu.patch.stage import StagePlan
from quantmcu.placing import SmallestPlan, fits, place, smallest_plan
from quantmcu.program import steps
from quantmcu.program.program import Program
from quantmcu.targets import Board

Advance = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class PlannedNetwork:
    """How the network runs.

    Attributes:
        candidate: the program with its patch stages, its kernels and its memory timeline.
        memory: where everything lies.
        layers: the same network layer by layer.
        notes: what was chosen, and why.
        overflow: why it does not fit, where that was allowed.
    """

    candidate: Candidate
    memory: MemoryPlan
    layers: Candidate
    notes: tuple[str, ...]
    overflow: QuantMCUError | None = None

    @property
    def mac_factor(self) -> float:
        """Multiply-accumulates, relative to those without patches."""
        return self.candidate.macs / self.layers.macs if self.layers.macs else 1.0


@dataclass(eq=False)
class _Choice:
    """Tries candidates in order until one can be placed.

    Attributes:
        rejected: those that can't, and why.
    """

    budget: Budget
    rejected: list[tuple[Candidate, DoesNotFitError]] = field(default_factory=list)

    def first_that_fits(self, candidates: Iterable[Candidate]) -> tuple[Candidate, MemoryPlan] | None:
        """The first candidate whose buffers can be placed."""
        for candidate in candidates:
            try:
                return candidate, place(candidate, self.budget.regions)
            except DoesNotFitError as problem:
                self.rejected.append((candidate, problem))
        return None


def same_plan(
    candidate: Candidate, program: Program, board: Board, budget: Budget, optimize: Optimize = "balanced"
) -> list[Candidate]:
    """`program` (without stages) in the patches of `candidate`; then with kernels of ever less working memory.

    Raises:
        NotDivisibleError: its steps can't run in them.
    """
    on_demand = bool(candidate.program.on_demand)
    split = divided(program, candidate.stages, candidate.channel_parts, on_demand=on_demand)
    selections = select_kernels(split, Core.of(board, optimize), constant_bytes=budget.network_bytes)
    found = replace(candidate, program=split, selections=selections)
    return [found, *leaner(found)]


def choose_plan(
    program: Program,
    board: Board,
    budget: Budget,
    request: PatchRequest,
    *,
    advance: Advance | None = None,
    may_overflow: bool = False,
    optimize: Optimize = "balanced",
) -> PlannedNetwork:
    """The plan that the request asks for: the fastest that fits, the smallest, or a forced one.

    Args:
        program: without patch stages.
        board: to run on.
        budget: RAM that may be used.
        request: what the user wants.
        advance: told how far the search is.
        may_overflow: return the smallest plan where none fits.
        optimize: what the code shall be good at.

    Raises:
        QuantMCUError: none fits; says the smallest RAM that would do and what sets it. Or the forced stage is
            impossible.
        UsageError: an unknown node, or a grid finer than the map.
    """
    search = stage_search(program, board, budget, request, advance, optimize)
    choice = _Choice(budget)
    found = choice.first_that_fits(_fastest_first(search, budget.arena_bytes, request))
    if found is None and request.patch != "off":
        choice.rejected.clear()
        candidates = _forced(search, request) if request.is_forced else search.run()
        if not candidates:
            raise _no_stage(program, request)
        found = choice.first_that_fits(candidates[::-1] if request.objective == "ram" else candidates)
    if found is not None:
        chosen, memory = found
        return PlannedNetwork(chosen, memory, search.layers, tuple(_notes(chosen, search.layers, choice, budget)))
    smallest = _smallest(search, choice, board, request)
    error = _error(smallest, budget, board, patched=request.patch != "off")
    if not may_overflow:
        raise error
    return PlannedNetwork(smallest.candidate, smallest.memory, search.layers, (), error)


def _fastest_first(search: Search, limit: int, request: PatchRequest) -> Iterator[Candidate]:
    """Candidates of about `limit` bytes, the fastest first; none where a certain stage or least RAM is asked for."""
    if request.patch == "off":
        yield search.layers
        yield from leaner(search.layers)
    elif request.objective != "ram" and not request.is_forced:
        if not request.input_on_demand:
            yield search.layers
        yield from fastest_candidates(search, limit)


def _smallest(search: Search, choice: _Choice, board: Board, request: PatchRequest) -> SmallestPlan:
    """The plan that needs the least RAM once its arrays are placed.

    Where those that were rejected leave gaps, others with more bytes at once may still need less in all.
    """
    smallest = smallest_plan([candidate for candidate, _ in choice.rejected], board)
    while smallest.gap_bytes:
        others = _fastest_first(search, smallest.memory.arena_bytes - ALIGNMENT, request)
        better = smallest_plan([smallest.candidate, *others], board)
        if better.memory.arena_bytes >= smallest.memory.arena_bytes:
            break
        smallest = better
    return smallest


def plan_frontier(
    program: Program, board: Board, budget: Budget, request: PatchRequest, advance: Advance | None = None
) -> tuple[list[Candidate], int | None]:
    """All plans from the fastest to the smallest, and the index of what `compile` would take (None: none fits)."""
    search = stage_search(program, board, budget, request, advance)
    if request.patch == "off":
        candidates = [search.layers]
    else:
        candidates = _forced(search, request) if request.is_forced else search.run()
    if not candidates:
        raise _no_stage(program, request)
    ordered = candidates[::-1] if request.objective == "ram" else candidates
    found = _Choice(budget).first_that_fits(ordered)
    return candidates, None if found is None else candidates.index(found[0])


def stage_search(
    program: Program,
    board: Board,
    budget: Budget,
    request: PatchRequest,
    advance: Advance | None,
    optimize: Optimize = "balanced",
) -> Search:
    """The search for the stages that the request allows."""
    return Search(
        program,
        Core.of(board, optimize),
        advance,
        halo_modes=HALO_MODES if request.halo is None else (request.halo,),
        input_on_demand=request.input_on_demand,
        constant_bytes=budget.network_bytes,
    )


def _forced(search: Search, request: PatchRequest) -> list[Candidate]:
    """The candidates with one stage whose grid, end or both are given; the fastest first."""
    found = single_stages(search, request)
    if request.grid and request.split_at:
        found += [smaller for candidate in found for smaller in leaner(candidate)]
        return sorted(found, key=lambda c: (c.cycles, c.arena_bytes))
    return frontier(found)


def single_stages(search: Search, request: PatchRequest) -> list[Candidate]:
    """All candidates with one stage from the network's input on whose grid, end or both are given.

    Raises:
        QuantMCUError: none can end there.
        UsageError: an unknown node, or a grid finer than the map.
    """
    program = search.program
    ends = [find_step(program, request.split_at)] if request.split_at is not None else search.points
    found: list[Candidate] = []
    problems: list[str] = []
    for end in ends:
        for grid in _grids_to_try(program, end, request):
            for mode in search.halo_modes:
                try:
                    found.append(search.evaluate((stage_plan(program, end.name, grid, mode),), (mode,)))
                except NotDivisibleError as problem:
                    problems.append(str(problem))
    if request.input_on_demand:
        found = [candidate for candidate in found if candidate.program.on_demand]
    if not found and request.split_at is not None:
        raise QuantMCUError(
            "no patch stage can end here",
            request.split_at,
            problems[0] if problems else "the input is needed whole elsewhere",
            "`quantmcu plan` shows the stages that are possible",
        )
    return found


def _grids_to_try(program: Program, end: steps.Step, request: PatchRequest) -> Iterator[tuple[int, int]]:
    shape = program.output_value(end).shape
    if len(shape) != 4:
        if request.split_at is None:
            return
        raise UsageError(f"the output of {request.split_at} is no map", "--split-at", f"its shape is {shape}")
    _, height, width, _ = shape
    if request.grid is None:
        yield from grids(height, width)
    elif request.grid[0] <= height and request.grid[1] <= width:
        yield request.grid
    elif request.split_at is not None:
        raise UsageError(
            f"a grid of {request.patch} is finer than the map",
            request.split_at,
            f"its output has {height} rows and {width} columns",
            f"at most --patch {height}x{width}, or split earlier",
        )


def _no_stage(program: Program, request: PatchRequest) -> QuantMCUError:
    first = program.steps[0].layer or program.steps[0].name if program.steps else ""
    if request.grid:
        return QuantMCUError(
            f"no patch stage of {request.patch} patches is possible",
            "--patch",
            "no map early in the network has so many rows and columns and is all that the later layers need",
            "fewer patches; `quantmcu plan` shows what is possible",
        )
    return QuantMCUError(
        "the network can't run in patches",
        first,
        "no map early in it is all that the later layers need, or its first layers need whole maps",
        "compile it with --patch auto and without --input-on-demand",
    )


def describe_stage(plan: StagePlan, mode: str) -> str:
    """For people: `3x1 patches up to conv_9 (cache)`."""
    start = f" from behind {plan.after}" if plan.after else ""
    return f"{plan.grid[0]}x{plan.grid[1]} patches{start} up to {plan.last} ({mode})"


def _notes(chosen: Candidate, layers: Candidate, choice: _Choice, budget: Budget) -> Iterator[str]:
    """What was chosen, rejected, and why."""
    if not chosen.stages:
        return
    if layers.arena_bytes > budget.arena_bytes:
        over = layers.arena_bytes - budget.arena_bytes
        yield f"layer by layer the feature maps need {layers.arena_bytes:,} bytes of RAM, {over:,} too many"
    stages = zip(chosen.stages, chosen.halo_modes, strict=True)
    yield (
        f"runs in patches: {'; '.join(describe_stage(plan, mode) for plan, mode in stages)}: "
        f"{chosen.arena_bytes:,} bytes, "
        f"{chosen.macs / max(1, layers.macs):.3f} x the MACs and {chosen.cycles / max(1.0, layers.cycles):.3f} x the "
        "predicted cycles of running layer by layer"
    )
    if choice.rejected:
        smallest = min(candidate.arena_bytes for candidate, _ in choice.rejected)
        yield f"rejected {len(choice.rejected)} faster plans that need at least {smallest:,} bytes at once"


def _error(smallest: SmallestPlan, budget: Budget, board: Board, *, patched: bool) -> QuantMCUError:
    """None fits: names the smallest RAM that works, and the arrays that set it."""
    candidate, needed = smallest.candidate, smallest.memory.arena_bytes
    stages = candidate.stage_names
    problem = DoesNotFitError(candidate.live, budget.arena_bytes)
    error = ram_error(candidate.timeline, candidate.buffers, problem, budget, board, stages)
    if not patched:
        return QuantMCUError(error.what, error.where, error.why, f"run it in patches (--patch auto); or {error.hint}")
    largest = tenants_at(candidate.buffers, candidate.peak_slot)[0]
    between = f", with {smallest.gap_bytes:,} bytes of gaps between the arrays" if smallest.gap_bytes else ""
    where = "" if smallest.is_on_board else " in one region"
    return QuantMCUError(
        f"no plan fits: the smallest needs {needed:,} bytes of RAM for feature maps, there are "
        f"{budget.arena_bytes:,}",
        error.where,
        f"{describe_array(largest.name, stages)} ({largest.nbytes:,} bytes) sets it{between}; {error.why}",
        f"the smallest RAM that works is {smallest.ram_bytes:,} bytes{where} (stack and variables included); "
        f"{error.hint}",
    )


__all__ = [
    "PatchRequest",
    "PlannedNetwork",
    "budget_of",
    "choose_plan",
    "describe_stage",
    "fits",
    "place",
    "plan_frontier",
    "same_plan",
]
