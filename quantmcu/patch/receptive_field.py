"""Receptive fields: which region of its inputs a step reads for a region of its output, and the step cut down to it.

A window at output index i reads inputs i * stride - pad ... i * stride - pad + dilation * (kernel - 1); what lies
outside the map is padding. A cut-down step keeps exactly the padding that its region really meets, so that its result
equals that part of the whole result byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from quantmcu.ir.ops import Pads
from quantmcu.patch.region import Interval, Region
from quantmcu.program import steps
from quantmcu.program.program import Value


class NotDivisibleError(Exception):
    """A step can't be computed region by region; says why."""


@dataclass(frozen=True, eq=False)
class RegionStep:
    """`step` cut down to a region of its output, and the region of each input that it reads."""

    step: steps.Step
    inputs: tuple[Region, ...]


def cut(step: steps.Step, inputs: tuple[Value, ...], output: Value, region: Region) -> RegionStep:
    """`step` for `region` of its output.

    Raises:
        NotDivisibleError: the step needs the whole map (softmax, a change of shape, pooling over everything, ...).
    """
    if len(output.shape) != 4:
        raise NotDivisibleError(f"{step.name} writes no map but {output.shape}")
    handler = _HANDLERS.get(type(step))
    if handler is None:
        raise NotDivisibleError(f"{type(step).__name__} needs the whole map")
    return handler(step, inputs, region)


@dataclass(frozen=True)
class _Window:
    """One axis of a window operator."""

    kernel: int
    stride: int
    dilation: int
    pad: int

    def read(self, out: Interval, length: int) -> tuple[Interval, int, int]:
        """Input interval for the outputs `out`, and the padding met before and behind it."""
        first = out.start * self.stride - self.pad
        last = (out.stop - 1) * self.stride - self.pad + self.dilation * (self.kernel - 1) + 1
        inside = Interval(max(first, 0), min(last, length))
        if not len(inside):
            raise NotDivisibleError("a part of the output sees nothing but padding")
        return inside, max(0, -first), max(0, last - length)


def _windowed(
    step: steps.Step,
    source: Value,
    region: Region,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    pads: tuple[int, int, int, int],
) -> RegionStep:
    rows, top, bottom = _Window(kernel[0], strides[0], dilations[0], pads[0]).read(region.rows, source.shape[1])
    columns, left, right = _Window(kernel[1], strides[1], dilations[1], pads[1]).read(region.columns, source.shape[2])
    return RegionStep(with_pads(step, (top, left, bottom, right)), (Region(rows, columns),))


def with_pads(step: steps.Step, pads: Pads) -> steps.Step:
    """`step` with this padding, if it pads at all; the same object where nothing changes: kernels remember steps."""
    if not isinstance(step, steps.Convolution | steps.MaxPool | steps.AveragePool) or step.pads == pads:
        return step
    return replace(step, pads=pads)


def _convolution(step: steps.Convolution, inputs: tuple[Value, ...], region: Region) -> RegionStep:
    return _windowed(step, inputs[0], region, step.kernel, step.strides, step.dilations, step.pads)


def _max_pool(step: steps.MaxPool, inputs: tuple[Value, ...], region: Region) -> RegionStep:
    return _windowed(step, inputs[0], region, step.kernel, step.strides, step.dilations, step.pads)


def _average_pool(step: steps.AveragePool, inputs: tuple[Value, ...], region: Region) -> RegionStep:
    return _windowed(step, inputs[0], region, step.kernel, step.strides, (1, 1), step.pads)


def _pointwise(step: steps.Step, inputs: tuple[Value, ...], region: Region) -> RegionStep:
    """Element by element; an operand of size 1 along an axis is broadcast there."""
    return RegionStep(step, tuple(_broadcast(value.shape, region) for value in inputs))


def _broadcast(shape: tuple[int, ...], region: Region) -> Region:
    if len(shape) < 4:
        shape = (1,) * (4 - len(shape)) + shape
    rows = region.rows if shape[1] > 1 else Interval(0, 1)
    columns = region.columns if shape[2] > 1 else Interval(0, 1)
    return Region(rows, columns)


def _concatenate(step: steps.Concatenate, inputs: tuple[Value, ...], region: Region) -> RegionStep:
    if step.axis != 3:
        raise NotDivisibleError(f"{step.name} joins maps along axis {step.axis}, not along the channels")
    return RegionStep(step, (region,) * len(inputs))


def _slice(step: steps.Slice, inputs: tuple[Value, ...], region: Region) -> RegionStep:
    rows, columns = (
        Interval(
            step.starts[axis] + out.start * step.steps[axis], step.starts[axis] + (out.stop - 1) * step.steps[axis] + 1
        )
        for axis, out in ((1, region.rows), (2, region.columns))
    )
    smaller = replace(
        step,
        starts=(step.starts[0], 0, 0, step.starts[3]),
        ends=(step.ends[0], len(rows), len(columns), step.ends[3]),
    )
    return RegionStep(smaller, (Region(rows, columns),))


def _pad(step: steps.Pad, inputs: tuple[Value, ...], region: Region) -> RegionStep:
    parts = []
    before, after = list(step.before), list(step.after)
    for axis, out in ((1, region.rows), (2, region.columns)):
        length = inputs[0].shape[axis]
        wanted = out.shifted(-step.before[axis])
        inside = Interval(max(wanted.start, 0), min(wanted.stop, length))
        if not len(inside):
            raise NotDivisibleError("a part of the output sees nothing but padding")
        before[axis], after[axis] = inside.start - wanted.start, wanted.stop - inside.stop
        parts.append(inside)
    return RegionStep(replace(step, before=tuple(before), after=tuple(after)), (Region(*parts),))


def _gather(step: steps.GatherRowsColumns, inputs: tuple[Value, ...], region: Region) -> RegionStep:
    rows = step.rows[region.rows.start : region.rows.stop]
    columns = step.columns[region.columns.start : region.columns.stop]
    read = Region(Interval(int(rows.min()), int(rows.max()) + 1), Interval(int(columns.min()), int(columns.max()) + 1))
    smaller = replace(step, rows=rows - read.rows.start, columns=columns - read.columns.start)
    return RegionStep(smaller, (read,))


def _resize_linear(step: steps.ResizeLinear, inputs: tuple[Value, ...], region: Region) -> RegionStep:
    rows, columns = (slice(part.start, part.stop) for part in (region.rows, region.columns))
    read = Region(
        Interval(int(step.low_rows[rows].min()), int(step.high_rows[rows].max()) + 1),
        Interval(int(step.low_columns[columns].min()), int(step.high_columns[columns].max()) + 1),
    )
    smaller = replace(
        step,
        low_rows=step.low_rows[rows] - read.rows.start,
        high_rows=step.high_rows[rows] - read.rows.start,
        row_fractions=step.row_fractions[rows],
        low_columns=step.low_columns[columns] - read.columns.start,
        high_columns=step.high_columns[columns] - read.columns.start,
        column_fractions=step.column_fractions[columns],
    )
    return RegionStep(smaller, (read,))


_HANDLERS: dict[type[steps.Step], Callable[..., RegionStep]] = {
    steps.Convolution: _convolution,
    steps.MaxPool: _max_pool,
    steps.AveragePool: _average_pool,
    steps.Linear: _pointwise,
    steps.Multiply: _pointwise,
    steps.Lookup: _pointwise,
    steps.PRelu: _pointwise,
    steps.Concatenate: _concatenate,
    steps.Slice: _slice,
    steps.Pad: _pad,
    steps.GatherRowsColumns: _gather,
    steps.ResizeLinear: _resize_linear,
}
