"""Builds patch stages: cuts a program after chosen values and divides the first part into cells.

Each cell of an output is traced backwards to the regions of all values that it needs (paper section on patch-based
inference; our definitions: docs/patches.md). At a skip connection a value's region is the union of what its readers
need, and a reader that needs less gets a crop.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from quantmcu.patch.axis import Axis, AxisTrace
from quantmcu.patch.receptive_field import NotDivisibleError, RegionStep, cut
from quantmcu.patch.region import EMPTY, Region, divide, whole
from quantmcu.program import steps
from quantmcu.program.added_names import crop_name, stage_name
from quantmcu.program.program import Program, Value
from quantmcu.program.stages import Cell, PatchStage

Axes = tuple[Axis, Axis]
"""Rows and columns."""


@dataclass(frozen=True)
class StagePlan:
    """What to run in patches.

    Attributes:
        last: name of the step that ends the stage; the stage is all steps that it depends on, up to the stage before.
        grid: rows and columns of cells.
        carrying: names of values that carry rows down a column of cells; empty for recompute.
        carrying_columns: names of those of them that also carry columns from one column of cells to the next.
        after: name of the step behind which the stage begins: the steps up to it run before, layer by layer. None:
            where the stage before ended.
    """

    last: str
    grid: tuple[int, int]
    carrying: frozenset[str] = frozenset()
    after: str | None = None
    carrying_columns: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Raises ValueError: columns are carried without rows.

        The rows of a value's columns would be needed again by the cell below after they were replaced.
        """
        if not self.carrying_columns <= self.carrying:
            raise ValueError("only values that carry rows carry columns")


def split_program(program: Program, plans: Sequence[StagePlan], axes: Axes | None = None) -> Program:
    """`program` with some of its steps as patch stages, in their order.

    Args:
        axes: rows and columns of a program with the same steps in the stages; made here where not given.

    Raises:
        NotDivisibleError: a step of a stage needs whole maps, or the grid is finer than an output.
    """
    axes = axes or (Axis(program, 0), Axis(program, 1))
    done: list[steps.Step] = []
    rest = list(program.steps)
    for plan in plans:
        if plan.after is not None and any(step.name == plan.after for step in rest):
            before = _ancestors(rest, plan.after)
            done += before
            rest = [step for step in rest if step not in before]
        inside = _ancestors(rest, plan.last)
        outside = [step for step in rest if step not in inside]
        done.append(build_stage(program, inside, outside, plan, axes))
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
    program: Program, inside: Sequence[steps.Step], outside: Sequence[steps.Step], plan: StagePlan, axes: Axes
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
    order, cells = _StageBuilder(program, tuple(inside), outputs, inputs, plan, axes).build()
    return PatchStage(
        name=stage_name(inside[-1].name),
        layer=inside[-1].layer,
        inputs=inputs,
        output=outputs[-1],
        outputs=outputs,
        order=order,
        cells=cells,
        grid=plan.grid,
        carrying=plan.carrying,
        carrying_columns=plan.carrying_columns,
    )


class _StageBuilder:
    def __init__(
        self,
        program: Program,
        inside: tuple[steps.Step, ...],
        outputs: tuple[str, ...],
        inputs: tuple[str, ...],
        plan: StagePlan,
        axes: Axes,
    ) -> None:
        self.program, self.inside, self.outputs, self.inputs, self.plan = program, inside, outputs, inputs, plan
        self.rows = axes[0].trace(inside, outputs, plan.grid[0], plan.carrying)
        self.columns = axes[1].trace(inside, outputs, plan.grid[1], plan.carrying_columns)
        self.results = {name: tuple(map(divide, program.values[name].shape[1:3], plan.grid)) for name in outputs}

    def build(self) -> tuple[tuple[str, ...], tuple[Cell, ...]]:
        """Names of the steps that each cell runs, and all cells, column by column from top to bottom."""
        rows, columns = self.plan.grid
        places = [(row, column) for column in range(columns) for row in range(rows)]
        smaller = [self._cut(row, column) for row, column in places]
        crops = self._crops(places, smaller)
        order = tuple(
            name
            for step in self.inside
            for name in (*(crop_name(step.name, index) for one, index in crops if one is step), step.name)
        )
        return order, tuple(self._cell(*place, cut_, crops) for place, cut_ in zip(places, smaller, strict=True))

    def _held(self, name: str, row: int, column: int) -> Region:
        return Region(self.rows.held(name, row), self.columns.held(name, column))

    def _cut(self, row: int, column: int) -> dict[str, RegionStep]:
        """The steps cut down to what a cell computes; missing where that is nothing."""
        found = {}
        for step in self.inside:
            region = Region(self.rows.made(step.output, row), self.columns.made(step.output, column))
            if not region.is_empty:
                values, output = self.program.input_values(step), self.program.output_value(step)
                found[step.name] = cut(step, values, output, region)
        return found

    def _crops(
        self, places: Sequence[tuple[int, int]], smaller: Sequence[Mapping[str, RegionStep]]
    ) -> list[tuple[steps.Step, int]]:
        """Inputs of steps that read less than the whole local value in some cell, and so need a crop in all cells."""
        found = []
        for step in self.inside:
            for index, name in enumerate(step.inputs):
                if name not in self.rows.starts:
                    continue
                cutting = (
                    (place, cut_[step.name]) for place, cut_ in zip(places, smaller, strict=True) if step.name in cut_
                )
                if any(cut_.inputs[index] != self._held(name, *place) for place, cut_ in cutting):
                    found.append((step, index))
        return found

    def _cell(
        self, row: int, column: int, smaller: Mapping[str, RegionStep], crops: Sequence[tuple[steps.Step, int]]
    ) -> Cell:
        held = {name: self._held(name, row, column) for name in self.rows.starts}
        regions = {name: region for name, region in held.items() if not region.is_empty}
        values = {name: self._local(name, region) for name, region in regions.items()}
        cell_steps: dict[str, steps.Step] = {}
        for step in self.inside:
            if step.name not in smaller:
                continue
            cut_ = smaller[step.name]
            operands = list(step.inputs)
            for cropped, index in crops:
                if cropped is step:
                    name = crop_name(step.name, index)
                    operands[index] = name
                    values[name] = replace(self._local(step.inputs[index], cut_.inputs[index]), name=name)
                    cell_steps[name] = _crop(step, index, regions[step.inputs[index]], cut_.inputs[index], values[name])
            cell_steps[step.name] = replace(cut_.step, inputs=tuple(operands))
        return Cell(
            row,
            column,
            values,
            regions,
            self._pairs(regions, _carried, row, column),
            self._pairs(regions, _kept, row, column),
            cell_steps,
            {name: Region(rows[row], columns[column]) for name, (rows, columns) in self.results.items()},
        )

    def _local(self, name: str, region: Region) -> Value:
        value = self.program.values[name]
        if value.shape[1:3] == (1, 1):
            return value
        return replace(value, shape=(1, len(region.rows), len(region.columns), value.shape[3]))

    def _pairs(
        self, names: Iterable[str], count: Callable[[AxisTrace, str, int], int], row: int, column: int
    ) -> dict[str, tuple[int, int]]:
        """Rows and columns by name, where there are any."""
        pairs = {name: (count(self.rows, name, row), count(self.columns, name, column)) for name in names}
        return {name: pair for name, pair in pairs.items() if any(pair)}


def _carried(trace: AxisTrace, name: str, part: int) -> int:
    """Rows (columns) that a part takes from earlier ones."""
    return int(trace.carried[name][part]) if name in trace.carried else 0


def _kept(trace: AxisTrace, name: str, part: int) -> int:
    """Rows (columns) that the next part which holds the value takes from this one."""
    later = np.flatnonzero(trace.stops[name][part + 1 :] > trace.starts[name][part + 1 :])
    return _carried(trace, name, part + 1 + int(later[0])) if len(later) else 0


def _crop(step: steps.Step, index: int, given: Region, wanted: Region, value: Value) -> steps.Slice:
    """Takes `wanted` out of the local value that is `given`."""
    top, left = wanted.rows.start - given.rows.start, wanted.columns.start - given.columns.start
    return steps.Slice(
        name=crop_name(step.name, index),
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
