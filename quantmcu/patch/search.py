"""Searches for patch stages: where to split, how to divide, which rows to carry.

Every candidate is evaluated exactly as it would be compiled: its kernels are chosen, their predicted cycles added up, and its memory
taken from the same timeline that the planner places. Splits after which the remaining map is larger than before it are not tried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from quantmcu.codegen.kernel import Core
from quantmcu.codegen.registry import Facts
from quantmcu.codegen.select import AnySelection, flat, memory_timeline, select_kernels
from quantmcu.memory.buffers import collect_buffers, live_bytes
from quantmcu.memory.planner import ALIGNMENT
from quantmcu.patch.receptive_field import NotDivisibleError
from quantmcu.patch.stage import StagePlan, divisible_steps, split_program
from quantmcu.program import steps
from quantmcu.program.program import Program

Progress = Callable[[int, int], None]

HALO_MODES = ("cache", "cache-narrow", "recompute")
"""How the overlap of cells is treated: rows carried; carried except where a pointwise convolution widens; computed again."""

_COLUMNS = (1, 2, 3, 4)
_ROWS = (2, 3, 4, 6, 9, 12, 18, 24, 36)
_MOST_CELLS = 72


@dataclass(frozen=True, eq=False)
class Candidate:
    """One way to run the network.

    Attributes:
        stages: patch stages in order; none for layer by layer.
        program: the program with these stages.
        selections: kernels.
        halo_modes: of each stage: "recompute", "cache" or "cache-narrow" (expanded maps are recomputed, narrow ones carried).
        input_in_ram: whether the network's input is counted.
    """

    stages: tuple[StagePlan, ...]
    halo_modes: tuple[str, ...]
    program: Program
    selections: Sequence[AnySelection]

    @cached_property
    def arena_bytes(self) -> int:
        """Most bytes that live at once."""
        timeline = memory_timeline(self.program, self.selections)
        return max(live_bytes(collect_buffers(timeline), len(timeline.slots), ALIGNMENT), default=0)

    @cached_property
    def cycles(self) -> float:
        """Predicted cycles of one inference."""
        return sum(selection.cycles for selection in flat(self.selections))

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates, those computed more than once counted each time."""
        return sum(selection.macs for selection in flat(self.selections))


class Search:
    """A search over one program on one core.

    Attributes:
        found: every candidate evaluated so far, layer by layer first.
    """

    def __init__(self, program: Program, core: Core, progress: Progress | None = None) -> None:
        self.program, self.core = program, core
        self.progress = progress or (lambda done, total: None)
        self.facts = Facts()
        self.points = split_points(program)
        self.found = [self.evaluate((), ())]

    def evaluate(self, stages: tuple[StagePlan, ...], halo_modes: tuple[str, ...]) -> Candidate:
        """The program with these stages.

        Raises:
            NotDivisibleError: a stage is not possible.
        """
        split = split_program(self.program, stages) if stages else self.program
        return Candidate(stages, halo_modes, split, select_kernels(split, self.core, self.facts))

    def run(self, levels: int = 2, most: int = 8) -> list[Candidate]:
        """The frontier of candidates with up to `levels` stages in a row.

        Later stages are added to the `most` smallest candidates of the frontier so far.
        """
        bases = self.found[:1]
        for level in range(levels):
            for index, base in enumerate(bases):
                self._extend(base)
                self.progress(level * most + index + 1, levels * most)
            best = [item for item in frontier(self.found) if len(item.stages) == level + 1]
            bases = best[-most:]
        return frontier(self.found)

    def _extend(self, base: Candidate) -> None:
        """One more stage behind those of `base`, divided finer and finer for as long as that saves memory."""
        names = [point.name for point in self.points]
        first = 0 if not base.stages else names.index(base.stages[-1].last) + 1
        for point in self.points[first:]:
            _, height, width, _ = self.program.output_value(point).shape
            for mode in HALO_MODES:
                for columns in (c for c in _COLUMNS if c <= width):
                    self._refine(base, point.name, mode, columns, height)

    def _refine(self, base: Candidate, last: str, mode: str, columns: int, height: int) -> None:
        smallest = base.arena_bytes
        for rows in (r for r in _ROWS if r <= height):
            if rows * columns > _MOST_CELLS or (mode == "recompute" and (rows > 6 or columns == 1)):
                break
            plan = StagePlan(last, (rows, columns), carried_values(self.program, mode))
            try:
                item = self.evaluate((*base.stages, plan), (*base.halo_modes, mode))
            except NotDivisibleError:
                continue
            self.found.append(item)
            if item.arena_bytes >= smallest and rows > _ROWS[1]:
                break
            smallest = min(smallest, item.arena_bytes)


def frontier(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that no other one beats in both memory and cycles, the fastest first."""
    best: list[Candidate] = []
    for item in sorted(candidates, key=lambda c: (c.cycles, c.arena_bytes)):
        if not best or item.arena_bytes < best[-1].arena_bytes:
            best.append(item)
    return best


def carried_values(program: Program, mode: str) -> frozenset[str]:
    """The values that carry rows in a halo mode."""
    if mode == "recompute":
        return frozenset()
    names = set(program.values)
    if mode == "cache-narrow":
        names -= {step.output for step in program.steps if _expands(program, step)}
    return frozenset(names)


def _expands(program: Program, step: steps.Step) -> bool:
    """A pointwise convolution to more channels: cheaper to compute again than to keep."""
    if not isinstance(step, steps.Convolution) or not step.is_pointwise:
        return False
    return program.output_value(step).shape[3] > program.input_values(step)[0].shape[3]


def split_points(program: Program) -> list[steps.Step]:
    """Steps after which a patch stage may end: one map crosses there, and it is no larger than its neighbours."""
    divisible = set(divisible_steps(program))
    points = []
    for index, step in enumerate(program.steps):
        if step.name not in divisible:
            break
        later = {name for other in program.steps[index + 1 :] for name in other.inputs} | set(program.outputs)
        crossing = {s.output for s in program.steps[: index + 1]} & later
        crossing |= set(program.inputs) & later
        if crossing != {step.output}:
            continue
        size = program.output_value(step).nbytes
        following = [program.output_value(s).nbytes for s in program.steps[index + 1 : index + 2]]
        if all(size <= other for other in following) and size <= program.input_values(step)[0].nbytes:
            points.append(step)
    return points
