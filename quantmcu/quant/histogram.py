"""Streaming histogram: a fixed number of bins however much data, and exactly that of all the data at once."""

from __future__ import annotations

import copy
import math

import numpy as np
from numpy.typing import NDArray

BINS = 4096
"""Bins of a histogram: 8 to 16 for each step of an 8-bit quantizer that covers the range."""

_SMALLEST_EXPONENT = -126  # of a normal float32


class StreamingHistogram:
    """Counts of values in bins [i * width, (i + 1) * width) for consecutive integers i; zero is always covered.

    `width` is the smallest power of two with which all values so far fit into `bins` bins. When it doubles, pairs of
    bins merge. Division by a power of two is exact, so the result depends neither on the order of the data nor on how
    it was cut into pieces.

    Attributes:
        width: of a bin.
        first: index i of the first bin; never positive.
        counts: int64, one a bin, up to the last bin that was needed.
        minimum, maximum: exact extremes of the values; 0 when there were none.
        total: number of values.
    """

    def __init__(self, bins: int = BINS) -> None:
        self.bins = bins
        self.width = math.ldexp(1.0, _SMALLEST_EXPONENT)
        self.first = 0
        self.counts: NDArray[np.int64] = np.zeros(1, np.int64)
        self.minimum, self.maximum = math.inf, -math.inf
        self.total = 0

    def add(self, values: NDArray[np.float32]) -> None:
        """Counts `values`, of any shape.

        Raises:
            ValueError: NaN or infinity among them.
        """
        flat = values.ravel(order="K")  # the order does not matter, a copy would cost
        if not flat.size:
            return
        low, high = float(flat.min()), float(flat.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError("NaN or infinity")
        self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
        self.total += flat.size
        self._cover(low, high)
        # exact in float32, as the width is a power of two (but for a quotient below 2**-126, which becomes 0)
        indices = np.floor(flat * np.float32(1 / self.width)).astype(np.intp)
        indices -= self.first
        self.counts += np.bincount(indices, minlength=self.counts.size)

    def _cover(self, low: float, high: float) -> None:
        """Widens the bins and extends their range so that `low`, `high` and 0 lie inside."""
        while not self._fits(low, high):
            self._merge_pairs()
        first = min(self.first, math.floor(low / self.width))
        last = max(self.first + self.counts.size - 1, math.floor(high / self.width))
        after = last - (self.first + self.counts.size - 1)
        if first < self.first or after:
            self.counts = np.pad(self.counts, (self.first - first, after))
            self.first = first

    def _fits(self, low: float, high: float) -> bool:
        first = min(self.first, math.floor(low / self.width))
        last = max(self.first + self.counts.size - 1, math.floor(high / self.width))
        return last - first < self.bins

    def _merge_pairs(self) -> None:
        """Doubles the width."""
        before = self.first % 2
        after = (before + self.counts.size) % 2
        self.counts = np.pad(self.counts, (before, after)).reshape(-1, 2).sum(axis=1)
        self.first = (self.first - before) // 2
        self.width *= 2

    def coarsened(self, bins: int) -> StreamingHistogram:
        """The same data in at most `bins` bins; this very histogram when it has no more."""
        if self.counts.size <= bins:
            return self
        coarse = copy.copy(self)
        coarse.bins = bins
        while coarse.counts.size > bins:
            coarse._merge_pairs()
        return coarse

    @property
    def edges(self) -> NDArray[np.float64]:
        """Borders of the bins, one more than there are bins."""
        return np.arange(self.first, self.first + self.counts.size + 1, dtype=np.float64) * np.float64(self.width)
