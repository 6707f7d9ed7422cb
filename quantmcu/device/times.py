"""Cycles measured by the firmware: raw 64-bit values, and the figures drawn from them."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class RunTimes:
    """Cycles of whole runs of the network, in order, with the harness's overhead already taken off.

    Attributes:
        cycles: of each run; its first may find cold caches.
        first_run: number of the first of these runs since reset: 0 means that caches were cold.
        overhead_cycles: what timing an empty step showed, already subtracted from each step.
        clock_hz: core clock that counts the cycles.
    """

    cycles: tuple[int, ...]
    first_run: int
    overhead_cycles: int
    clock_hz: int

    @property
    def first(self) -> int:
        """Cycles of the first run."""
        return self.cycles[0]

    @property
    def warm(self) -> tuple[int, ...]:
        """All runs but the first; the first when there is no other."""
        return self.cycles[1:] or self.cycles

    @property
    def minimum(self) -> int:
        """Least cycles of the warm runs."""
        return min(self.warm)

    @property
    def median(self) -> float:
        """Median cycles of the warm runs."""
        return median(self.warm)

    @property
    def maximum(self) -> int:
        """Most cycles of the warm runs."""
        return max(self.warm)

    @property
    def milliseconds(self) -> float:
        """Median of the warm runs in milliseconds."""
        return self.median / self.clock_hz * 1e3


@dataclass(frozen=True)
class Profile:
    """Cycles by step: `steps` has the step's name, its own first and warm runs and figures as in RunTimes."""

    names: tuple[str, ...]
    steps: tuple[RunTimes, ...]
    whole: RunTimes

    @property
    def total_minimum(self) -> int:
        """Sum of the steps' minima: no real run is faster."""
        return sum(step.minimum for step in self.steps)
