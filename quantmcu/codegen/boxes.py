"""Boxes of strided arrays as the kernels walk over them (firmware/kernels/strided.h)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MAX_RANK = 6
"""QMCU_MAX_RANK of firmware/kernels/strided.h."""


def strides_of(shape: Sequence[int], element: int = 1) -> tuple[int, ...]:
    """Strides of a dense array with elements of this size."""
    strides = [element]
    for count in reversed(shape[1:]):
        strides.append(strides[-1] * count)
    return tuple(reversed(strides[: len(shape)]))


def broadcast_strides(shape: Sequence[int], output_shape: Sequence[int]) -> tuple[int, ...]:
    """Strides over `output_shape` of a dense array that broadcasts to it as in NumPy: 0 where it repeats."""
    missing = len(output_shape) - len(shape)
    aligned = [0 if count == 1 else stride for count, stride in zip(shape, strides_of(shape), strict=True)]
    return (0,) * missing + tuple(aligned)


@dataclass(frozen=True)
class Box:
    """A box of elements in several arrays at once.

    Attributes:
        counts: elements along each axis, never empty.
        strides: for each array, its stride along each axis.
    """

    counts: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.counts)

    @property
    def rows(self) -> int:
        """How often a kernel starts over along the last axis."""
        rows = 1
        for count in self.counts[:-1]:
            rows *= count
        return rows

    def padded_counts(self) -> tuple[int, ...]:
        """Counts as the C structures hold them."""
        return self.counts + (0,) * (MAX_RANK - self.rank)

    def padded_strides(self, array: int) -> tuple[int, ...]:
        """Strides of an array as the C structures hold them."""
        return self.strides[array] + (0,) * (MAX_RANK - self.rank)


def collapsed(counts: Sequence[int], *strides: Sequence[int]) -> Box:
    """The same box over the fewest axes: axes of one element are dropped, axes that continue each other are joined."""
    axes: list[tuple[int, tuple[int, ...]]] = []
    for axis, count in enumerate(counts):
        if count == 1:
            continue
        steps = tuple(s[axis] for s in strides)
        if axes and axes[-1][1] == tuple(step * count for step in steps):
            axes[-1] = (axes[-1][0] * count, steps)
        else:
            axes.append((count, steps))
    if not axes:
        axes = [(1, (1,) * len(strides))]
    return Box(
        tuple(count for count, _ in axes), tuple(tuple(steps[i] for _, steps in axes) for i in range(len(strides)))
    )
