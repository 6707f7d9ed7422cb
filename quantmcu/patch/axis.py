"""Receptive fields along one axis, for all cells of a grid at once.

The region of a value in a cell of the grid is a product: its rows depend on the cell's row only, its columns on its
column only. So a search traces each axis alone, as arrays over the parts that the axis is divided into; the exact
stage is built afterwards (quantmcu/patch/stage.py), and a test holds both together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantmcu.patch.receptive_field import NotDivisibleError, cut
from quantmcu.patch.region import Interval, Region, divide, whole
from quantmcu.program import steps
from quantmcu.program.program import Program

Indices = NDArray[np.int64]

_FAR = 1 << 40
"""An empty interval is _FAR .. -_FAR."""


@dataclass(frozen=True, eq=False)
class AxisTrace:
    """What the cells need along one axis.

    Attributes:
        longest: of each local value, the most rows (columns) that a cell holds.
        common_divisor: of each local value, the greatest common divisor of its lengths in all cells.
        computed: of each step, the rows (columns) computed in all cells together.
        most_computed: of each step, the most rows (columns) that one cell computes.
        carried: of values that carry, the most rows that a cell takes from the one above.
        fresh, stops: of the maps that are read and written: where each cell begins to compute or load, and where it
            ends.
        crops: lengths of the crops (step, input index) where a step reads less than the cell holds.
    """

    longest: Mapping[str, int]
    common_divisor: Mapping[str, int]
    computed: Mapping[str, int]
    most_computed: Mapping[str, int]
    carried: Mapping[str, int]
    fresh: Mapping[str, Indices]
    stops: Mapping[str, Indices]
    crops: Mapping[tuple[str, int], int]


class Axis:
    """Traces along rows (0) or columns (1) of a program's maps."""

    def __init__(self, program: Program, axis: int) -> None:
        self.program, self.axis = program, axis
        self._tables: dict[str, list[tuple[Indices, Indices]]] = {}

    def length(self, name: str) -> int:
        """Rows (columns) of a value."""
        return self.program.values[name].shape[1 + self.axis]

    def trace(
        self, inside: Sequence[steps.Step], outputs: Sequence[str], parts: int, carrying: Iterable[str] = ()
    ) -> AxisTrace:
        """What the cells of `parts` parts of each output need of the values of the steps `inside`."""
        starts: dict[str, Indices] = {}
        stops: dict[str, Indices] = {}
        for name in outputs:
            intervals = divide(self.length(name), parts)
            starts[name] = np.array([part.start for part in intervals])
            stops[name] = np.array([part.stop for part in intervals])
        carries = frozenset(carrying)
        reads: dict[tuple[str, int], tuple[Indices, Indices]] = {}
        computed: dict[str, int] = {}
        most_computed: dict[str, int] = {}
        carried: dict[str, int] = {}
        for step in reversed(inside):
            name = step.output
            fresh = self._carry(name, starts, stops, carried) if name in carries else starts[name]
            counts = np.maximum(stops[name] - fresh, 0)
            computed[step.name], most_computed[step.name] = int(counts.sum()), int(counts.max())
            for index, source in enumerate(step.inputs):
                if not self._is_local(source):
                    continue
                first, end = self._read(step, index, fresh, stops[name])
                reads[step.name, index] = first, end
                starts[source] = np.minimum(starts[source], first) if source in starts else first
                stops[source] = np.maximum(stops[source], end) if source in stops else end
        loaded = starts.keys() - {step.output for step in inside}
        edges = {
            name: self._carry(name, starts, stops, carried) if name in carries else starts[name] for name in loaded
        }
        lengths = {name: np.maximum(stops[name] - starts[name], 0) for name in starts}
        crops: dict[tuple[str, int], int] = {}
        for step in inside:
            for index, source in enumerate(step.inputs):
                if (step.name, index) in reads:
                    first, end = reads[step.name, index]
                    less = (end > first) & ((first > starts[source]) | (end < stops[source]))
                    if less.any():
                        crops[step.name, index] = int((end - first).max())
        return AxisTrace(
            {name: int(length.max()) for name, length in lengths.items()},
            {name: int(np.gcd.reduce(length)) for name, length in lengths.items()},
            computed,
            most_computed,
            carried,
            edges,
            {name: stops[name] for name in (*loaded, *outputs)},
            crops,
        )

    def _is_local(self, name: str) -> bool:
        value = self.program.values[name]
        return value.data is None and len(value.shape) == 4

    @staticmethod
    def _carry(name: str, starts: dict[str, Indices], stops: dict[str, Indices], carried: dict[str, int]) -> Indices:
        """Where each cell begins to compute when it takes over, and holds, what the cells before it have."""
        start, needed = starts[name], stops[name] > starts[name]
        present = np.maximum.accumulate(stops[name])
        stops[name] = np.where(needed, present, stops[name])
        fresh: Indices = np.maximum(start, np.concatenate([start[:1], present[:-1]]))
        rows = int(np.where(needed, fresh - start, 0).max())
        if rows:
            carried[name] = rows
        return fresh

    def _read(self, step: steps.Step, index: int, start: Indices, stop: Indices) -> tuple[Indices, Indices]:
        """The intervals of input `index` for the output intervals start .. stop; empty ones for empty ones."""
        firsts, ends = self._table(step)[index]
        empty = stop <= start
        first = np.where(empty, _FAR, firsts[np.minimum(np.maximum(start, 0), len(firsts) - 1)])
        end = np.where(empty, -_FAR, ends[np.minimum(np.maximum(stop - 1, 0), len(ends) - 1)])
        return first, end

    def _table(self, step: steps.Step) -> list[tuple[Indices, Indices]]:
        """For every input, the first and the end index that each output index reads. Both never fall."""
        if step.name not in self._tables:
            output = self.program.output_value(step)
            rows: list[list[tuple[int, int]] | None] = []
            for position in range(self.length(step.output)):
                part, all_ = Interval(position, position + 1), whole(output.shape)
                region = Region(part, all_.columns) if self.axis == 0 else Region(all_.rows, part)
                try:
                    inputs = cut(step, self.program.input_values(step), output, region).inputs
                    intervals = [region.columns if self.axis else region.rows for region in inputs]
                    rows.append([(interval.start, interval.stop) for interval in intervals])
                except NotDivisibleError:  # this one alone sees nothing but padding, or the step needs the whole map
                    rows.append(rows[-1] if rows else None)
            known = next((row for row in rows if row is not None), None)
            if known is None:
                raise NotDivisibleError(f"{step.name} can't be divided")
            table = np.array([known if row is None else row for row in rows], np.int64)
            self._tables[step.name] = [
                (table[:, index, 0], np.maximum.accumulate(table[:, index, 1])) for index in range(table.shape[1])
            ]
        return self._tables[step.name]
