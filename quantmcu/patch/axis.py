"""Receptive fields along one axis, for all cells of a grid at once.

The region of a value in a cell of the grid is a product: its rows depend on the cell's row only, its columns on its
column only. So each axis is traced alone, as arrays over the parts that it is divided into. The search sums these
arrays up (quantmcu/patch/sketch.py), the exact stage is built from them (quantmcu/patch/stage.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from quantmcu.patch.receptive_field import NotDivisibleError, cut
from quantmcu.patch.region import Interval, Region, divide, whole
from quantmcu.program import steps
from quantmcu.program.program import Program

Indices = NDArray[np.int64]

_FAR = 1 << 40
"""An empty interval is _FAR .. -_FAR."""


@dataclass(frozen=True)
class CarriedSums:
    """Rows (columns) of a value that parts take from earlier ones.

    Attributes:
        most: that one part takes.
        total: of all parts.
        divisor: greatest common divisor of the parts' numbers.
        extent: from the first row (column) that any part holds to the last.
    """

    most: int
    total: int
    divisor: int
    extent: int


@dataclass(frozen=True, eq=False)
class AxisTrace:
    """What the cells need along one axis; entry i of an array is about part i of the axis.

    Attributes:
        starts, stops: of each local value, the rows (columns) that a cell holds; none where stop <= start.
        fresh: of each local value, where a cell begins to compute or load; what lies before is carried.
        reads: of each step and input index, where it begins to read and where it stops.
        sources: of each step, its inputs.
    """

    starts: Mapping[str, Indices]
    fresh: Mapping[str, Indices]
    stops: Mapping[str, Indices]
    reads: Mapping[tuple[str, int], tuple[Indices, Indices]]
    sources: Mapping[str, Sequence[str]]

    def held(self, name: str, part: int) -> Interval:
        """What part `part` holds of a value."""
        return _interval(self.starts[name][part], self.stops[name][part])

    def made(self, name: str, part: int) -> Interval:
        """What part `part` computes or loads of a value."""
        return _interval(self.fresh[name][part], self.stops[name][part])

    @cached_property
    def longest(self) -> Mapping[str, int]:
        """Of each local value, the most rows (columns) that a cell holds."""
        return {name: int(np.maximum(self.stops[name] - start, 0).max()) for name, start in self.starts.items()}

    @cached_property
    def computed(self) -> Mapping[str, int]:
        """Of each local value, the rows (columns) computed or loaded in all parts together."""
        return {name: int(np.maximum(self.stops[name] - fresh, 0).sum()) for name, fresh in self.fresh.items()}

    @cached_property
    def most_computed(self) -> Mapping[str, int]:
        """Of each local value, the most rows (columns) that one part computes or loads."""
        return {name: int(np.maximum(self.stops[name] - fresh, 0).max()) for name, fresh in self.fresh.items()}

    @cached_property
    def carried(self) -> Mapping[str, Indices]:
        """Of the local values that carry, how many rows (columns) each part takes from earlier ones."""
        found = {}
        for name, fresh in self.fresh.items():
            count = np.where(self.stops[name] > self.starts[name], fresh - self.starts[name], 0)
            if count.any():
                found[name] = count
        return found

    @cached_property
    def sums(self) -> Mapping[str, CarriedSums]:
        """Sums over all parts of the local values that carry."""
        return {name: self._sums(name, count) for name, count in self.carried.items()}

    def _sums(self, name: str, count: Indices) -> CarriedSums:
        needed = self.stops[name] > self.starts[name]
        return CarriedSums(
            int(count.max()),
            int(count.sum()),
            int(np.gcd.reduce(count)),
            int(self.stops[name].max() - self.starts[name][needed].min()),
        )

    @cached_property
    def held_sum(self) -> Mapping[str, int]:
        """Rows (columns) of each local value that all parts hold together."""
        return {name: int(np.maximum(self.stops[name] - start, 0).sum()) for name, start in self.starts.items()}

    @cached_property
    def common_divisor(self) -> Mapping[str, int]:
        """The greatest common divisor of each local value's lengths in all parts."""
        return {
            name: int(np.gcd.reduce(np.maximum(self.stops[name] - start, 0))) for name, start in self.starts.items()
        }

    @cached_property
    def crops(self) -> Mapping[tuple[str, int], int]:
        """Longest crop of each (step, input index) where the step somewhere reads less than the cell holds."""
        found = {}
        for (step, index), (first, end) in self.reads.items():
            source = self.sources[step][index]
            less = (end > first) & ((first > self.starts[source]) | (end < self.stops[source]))
            if less.any():
                found[step, index] = int((end - first).max())
        return found


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
        """What the cells of `parts` parts of each output need of the values of the steps `inside`.

        Raises:
            NotDivisibleError: a step needs whole maps.
        """
        starts: dict[str, Indices] = {}
        stops: dict[str, Indices] = {}
        fresh: dict[str, Indices] = {}
        for name in outputs:
            intervals = divide(self.length(name), parts)
            starts[name] = np.array([part.start for part in intervals])
            stops[name] = np.array([part.stop for part in intervals])
        carries = frozenset(carrying)
        reads: dict[tuple[str, int], tuple[Indices, Indices]] = {}
        for step in reversed(inside):
            name = step.output
            fresh[name] = _carry(name, starts, stops) if name in carries else starts[name]
            for index, source in enumerate(step.inputs):
                if not self._is_local(source):
                    continue
                reads[step.name, index] = first, end = self._read(step, index, fresh[name], stops[name])
                starts[source] = np.minimum(starts[source], first) if source in starts else first
                stops[source] = np.maximum(stops[source], end) if source in stops else end
        for name in starts.keys() - fresh.keys():
            fresh[name] = _carry(name, starts, stops) if name in carries else starts[name]
        return AxisTrace(starts, fresh, stops, reads, {s.name: s.inputs for s in inside})

    def _is_local(self, name: str) -> bool:
        value = self.program.values[name]
        return value.data is None and len(value.shape) == 4

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
            firsts = np.minimum.accumulate(table[::-1, :, 0])[::-1]
            ends = np.maximum.accumulate(table[:, :, 1])
            self._tables[step.name] = [(firsts[:, index], ends[:, index]) for index in range(table.shape[1])]
        return self._tables[step.name]


def _carry(name: str, starts: dict[str, Indices], stops: dict[str, Indices]) -> Indices:
    """Where each part begins to compute when it takes over, and holds, what the parts before it have."""
    start, needed = starts[name], stops[name] > starts[name]
    present = np.maximum.accumulate(stops[name])
    stops[name] = np.where(needed, present, stops[name])
    fresh: Indices = np.maximum(start, np.concatenate([start[:1], present[:-1]]))
    return fresh


def _interval(start: np.int64, stop: np.int64) -> Interval:
    return Interval(int(start), int(stop)) if stop > start else Interval(0, 0)
