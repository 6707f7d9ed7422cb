"""Regions of feature maps: half-open intervals of rows and of columns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """Indices start .. stop - 1; empty when stop <= start."""

    start: int
    stop: int

    def __len__(self) -> int:
        return max(0, self.stop - self.start)

    def union(self, other: Interval) -> Interval:
        """The smallest interval that holds both; an empty one adds nothing."""
        if not len(self):
            return other
        if not len(other):
            return self
        return Interval(min(self.start, other.start), max(self.stop, other.stop))

    def shifted(self, by: int) -> Interval:
        """Moved by `by`."""
        return Interval(self.start + by, self.stop + by)


@dataclass(frozen=True)
class Region:
    """A rectangle of a map."""

    rows: Interval
    columns: Interval

    @property
    def is_empty(self) -> bool:
        """Holds no pixel."""
        return not (len(self.rows) and len(self.columns))

    def union(self, other: Region) -> Region:
        """The smallest rectangle that holds both; an empty one adds nothing."""
        if self.is_empty:
            return other
        if other.is_empty:
            return self
        return Region(self.rows.union(other.rows), self.columns.union(other.columns))


EMPTY = Region(Interval(0, 0), Interval(0, 0))


def whole(shape: tuple[int, ...]) -> Region:
    """All of a map [1, H, W, C]."""
    return Region(Interval(0, shape[1]), Interval(0, shape[2]))


def divide(length: int, parts: int) -> tuple[Interval, ...]:
    """0 .. length in `parts` intervals whose sizes differ by at most one, the larger ones first."""
    size, larger = divmod(length, parts)
    ends = [size * (i + 1) + min(i + 1, larger) for i in range(parts)]
    return tuple(Interval(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True))
