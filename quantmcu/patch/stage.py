"""Builds patch stages: cuts a program after chosen values and divides the first part into cells.

Each cell of an output is traced backwards to the regions of all values that it needs (paper section on patch-based
inference; our definitions: docs/patches.md). At a skip connection a value's region is the union of what its readers
need, and a reader that needs less gets a crop.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from quantmcu.patch.receptive_field import NotDivisibleError, RegionStep, cut
from quantmcu.patch.region import EMPTY, Interval, Region, divide, whole
from quantmcu.program import steps
from quantmcu.program.program import Program, Value
from quantmcu.program.stages import Cell, PatchStage


@dataclass(frozen=True)
class StagePlan:
    """What to run in patches.

    Attributes:
        last: name of the step that ends the stage; the stage is all steps that it depends on, up to the stage before.
        grid: rows and columns of cells.
        carrying: names of values that carry rows down a column of cells; empty for recompute.
        after: name of the step behind which the stage begins: the steps up to it run before, layer by layer. None:
            where the stage before ended.
    """

    last: str
    grid: tuple[int, int]
    carrying: frozenset[str] = frozenset()
    after: str | None = None


def split_program(program: Program, plans: Sequence[StagePlan]) -> Program:
    """`program` with some of its steps as patch stages, in their order.

    Raises:
        NotDivisibleError: a step of a stage needs whole maps, or the grid is finer than an output.
    """
    done: list[steps.Step] = []
    rest = list(program.steps)
    for plan in plans:
        if plan.after is not None and any(step.name == plan.after for step in rest):
            before = _ancestors(rest, plan.after)
            done += before
            rest = [step for step in rest if step not in before]
        inside = _ancestors(rest, plan.last)
        outside = [step for step in rest if step not in inside]
        done.append(build_stage(program, inside, outside, plan))
        rest = outside
    return replace(program, steps=(*done, *rest))


def with_inputs_on_demand(program: Program) -> Program:
    """`program` with those inputs on demand that only patch stages read."""
    needed = {name for step in program.steps if not isinstance(step, PatchStage) for name in step.inputs}
    return replace(program, on_demand=frozenset(program.inputs) - needed - set(program.outputs))


def _ancestors(candidates: Sequence[steps.Step], last: str) -> list[steps.Step]:
    """The steps that step `last` depends on, itself included, in order."""
    needed: set[str] = set()
    chosen: list[steps.Step] = []
    for step in reversed(candidates):
        if step.name == last or step.output in needed:
            chosen.append(step)
            needed.update(step.inputs)
    if not chosen:
        raise NotDivisibleError(f"there is no step {last} to split at")
    return chosen[::-1]


def build_stage(
    program: Program, inside: Sequence[steps.Step], outside: Sequence[steps.Step], plan: StagePlan
) -> PatchStage:
    """The stage of the steps `inside`; the steps `outside` and the program's outputs read some of its values."""
    produced = {step.output for step in inside}
    read_later = {name for step in outside for name in step.inputs} | set(program.outputs)
    outputs = tuple(step.output for step in inside if step.output in read_later)
    local_inputs = dict.fromkeys(name for step in inside for name in step.inputs if name not in produced)
    inputs = tuple(name for name in local_inputs if program.values[name].data is None)
    for name in outputs:
        shape = program.values[name].shape
        if len(shape) != 4 or shape[1] < plan.grid[0] or shape[2] < plan.grid[1]:
            raise NotDivisibleError(f"a grid of {plan.grid[0]}x{plan.grid[1]} can't divide {name} of shape {shape}")
    builder = _StageBuilder(program, tuple(inside), outputs, inputs, plan)
    cells = builder.build()
    return PatchStage(
        name=f"patches_{inside[-1].name}",
        layer=inside[-1].layer,
        inputs=inputs,
        output=outputs[-1],
        outputs=outputs,
        order=builder.order,
        cells=cells,
        grid=plan.grid,
        carrying=plan.carrying,
    )


@dataclass
class _Trace:
    """What one cell needs: regions of values, rows carried, and the cut steps."""

    row: int
    column: int
    results: dict[str, Region]
    regions: dict[str, Region]
    carried: dict[str, int] = field(default_factory=dict)
    cut: dict[str, RegionStep] = field(default_factory=dict)


class _StageBuilder:
    def __init__(
        self,
        program: Program,
        inside: tuple[steps.Step, ...],
        outputs: tuple[str, ...],
        inputs: tuple[str, ...],
        plan: StagePlan,
    ) -> None:
        self.program, self.inside, self.outputs, self.inputs, self.plan = program, inside, outputs, inputs, plan
        self.order: tuple[str, ...] = ()

    def build(self) -> tuple[Cell, ...]:
        """All cells, column by column from top to bottom."""
        traces: list[list[_Trace]] = []
        for column in range(self.plan.grid[1]):
            traces.append([])
            columns = self._columns(column)
            available: dict[str, int] = {}  # value -> first row that no earlier cell of this column has
            for row in range(self.plan.grid[0]):
                traces[-1].append(self._trace(row, column, columns, available))
        crops = self._crops([trace for column in traces for trace in column])
        self.order = tuple(
            name for step in self.inside for name in (*(_crop_name(step, i) for s, i in crops if s is step), step.name)
        )
        return tuple(
            self._cell(trace, crops, column[index + 1 :]) for column in traces for index, trace in enumerate(column)
        )

    def _columns(self, column: int) -> dict[str, Interval]:
        """The columns of every value that a column of cells needs.

        All its cells hold the same, so that rows fit together.
        """
        regions = {}
        for name in self.outputs:
            everything = whole(self.program.values[name].shape)
            regions[name] = Region(everything.rows, divide(len(everything.columns), self.plan.grid[1])[column])
        for step in reversed(self.inside):
            values, output = self.program.input_values(step), self.program.output_value(step)
            inputs = cut(step, values, output, regions[step.output]).inputs
            for value, region in zip(values, inputs, strict=True):
                regions[value.name] = regions.get(value.name, EMPTY).union(region)
        return {name: region.columns for name, region in regions.items()}

    def _trace(self, row: int, column: int, columns: dict[str, Interval], available: dict[str, int]) -> _Trace:
        """Backwards from the cell's part of each output; `available` is brought up to date."""
        results = {}
        for name in self.outputs:
            shape = self.program.values[name].shape
            parts = divide(shape[2], self.plan.grid[1])
            results[name] = Region(divide(shape[1], self.plan.grid[0])[row], parts[column])
        regions = {name: Region(region.rows, columns[name]) for name, region in results.items()}
        trace = _Trace(row, column, results, regions)
        for step in reversed(self.inside):
            fresh = self._carry(trace, step.output, available)
            if fresh.is_empty:
                continue
            values, output = self.program.input_values(step), self.program.output_value(step)
            trace.cut[step.name] = smaller = cut(step, values, output, fresh)
            for value, region in zip(values, smaller.inputs, strict=True):
                rows = trace.regions.get(value.name, EMPTY).rows.union(region.rows)
                trace.regions[value.name] = Region(rows, columns[value.name])
        for name in self.inputs:
            self._carry(trace, name, available)
        return trace

    def _carry(self, trace: _Trace, name: str, available: dict[str, int]) -> Region:
        """The part of value `name` that this cell must make; notes how many rows it carries.

        A cell that carries rows holds all that the cells above have, needed or not: the cells below may need them.
        """
        region = trace.regions.get(name, EMPTY)
        if region.is_empty:
            return EMPTY
        start, stop = region.rows.start, region.rows.stop
        if name in self.plan.carrying and self._can_carry(name, len(region.columns)):
            present = available.get(name, start)
            start, stop = max(start, present), max(stop, present)
            available[name] = stop
            trace.regions[name] = Region(Interval(region.rows.start, stop), region.columns)
        trace.carried[name] = start - region.rows.start
        return Region(Interval(start, stop), region.columns)

    def _can_carry(self, name: str, columns: int) -> bool:
        """Rows are carried as whole words, so that what follows them stays aligned."""
        value = self.program.values[name]
        return len(value.shape) == 4 and columns * value.row_bytes % 4 == 0

    def _crops(self, traces: Sequence[_Trace]) -> list[tuple[steps.Step, int]]:
        """Inputs of steps that read less than the whole local value in some cell, and so need a crop in all cells."""
        found = []
        for step in self.inside:
            for index, name in enumerate(step.inputs):
                if self.program.values[name].data is not None or len(self.program.values[name].shape) != 4:
                    continue
                cutting = (trace for trace in traces if step.name in trace.cut)
                if any(trace.cut[step.name].inputs[index] != trace.regions[name] for trace in cutting):
                    found.append((step, index))
        return found

    def _cell(self, trace: _Trace, crops: Sequence[tuple[steps.Step, int]], later: Sequence[_Trace]) -> Cell:
        values = {
            name: self._local(name, region)
            for name, region in trace.regions.items()
            if self.program.values[name].data is None and not region.is_empty
        }
        cell_steps: dict[str, steps.Step] = {}
        for step in self.inside:
            if step.name not in trace.cut:
                continue
            smaller = trace.cut[step.name]
            operands = list(step.inputs)
            for cropped, index in crops:
                if cropped is step:
                    name = _crop_name(step, index)
                    operands[index] = name
                    values[name] = replace(self._local(step.inputs[index], smaller.inputs[index]), name=name)
                    given = trace.regions[step.inputs[index]]
                    cell_steps[name] = _crop(step, index, given, smaller.inputs[index], values[name])
            cell_steps[step.name] = replace(smaller.step, inputs=tuple(operands))
        kept = {name: self._kept(name, later) for name in values if name in self.plan.carrying}
        return Cell(
            trace.row,
            trace.column,
            values,
            {name: region for name, region in trace.regions.items() if name in values},
            {name: rows for name, rows in trace.carried.items() if rows},
            {name: rows for name, rows in kept.items() if rows},
            cell_steps,
            trace.results,
        )

    def _local(self, name: str, region: Region) -> Value:
        value = self.program.values[name]
        if len(value.shape) != 4 or value.shape[1:3] == (1, 1):
            return value
        return replace(value, shape=(1, len(region.rows), len(region.columns), value.shape[3]))

    @staticmethod
    def _kept(name: str, later: Sequence[_Trace]) -> int:
        """Rows that the next cell which needs the value carries."""
        following = next((trace for trace in later if name in trace.carried), None)
        return 0 if following is None else following.carried[name]


def _crop_name(step: steps.Step, index: int) -> str:
    return f"{step.name}__crop{index}"


def _crop(step: steps.Step, index: int, given: Region, wanted: Region, value: Value) -> steps.Slice:
    """Takes `wanted` out of the local value that is `given`."""
    top, left = wanted.rows.start - given.rows.start, wanted.columns.start - given.columns.start
    return steps.Slice(
        name=_crop_name(step, index),
        layer=step.layer,
        inputs=(step.inputs[index],),
        output=value.name,
        starts=(0, top, left, 0),
        ends=(1, top + len(wanted.rows), left + len(wanted.columns), value.shape[3]),
        steps=(1, 1, 1, 1),
    )


def divisible_steps(program: Program) -> Collection[str]:
    """Names of the leading steps that could be part of a patch stage."""
    names = []
    for step in program.steps:
        output = program.output_value(step)
        try:
            cut(step, program.input_values(step), output, whole(output.shape) if len(output.shape) == 4 else EMPTY)
        except NotDivisibleError:
            break
        names.append(step.name)
    return names
