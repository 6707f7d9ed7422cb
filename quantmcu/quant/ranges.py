"""Ranges of activations from their histograms: min-max, percentile, and least mean squared error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quantmcu.ir import QParams
from quantmcu.quant.histogram import StreamingHistogram

RangeMethod = Literal["mse", "percentile", "minmax"]
Range = tuple[float, float]

DEFAULT_PERCENTILE = 99.99


def select_range(
    histogram: StreamingHistogram, method: RangeMethod, bits: int = 8, percentile: float = DEFAULT_PERCENTILE
) -> Range:
    """The range (low <= 0 <= high) that `method` chooses; (0, 0) when all values are 0 or there are none."""
    choose: dict[str, Callable[[], Range]] = {
        "minmax": lambda: minmax_range(histogram),
        "percentile": lambda: percentile_range(histogram, percentile),
        "mse": lambda: mse_range(histogram, bits),
    }
    return choose[method]()


def minmax_range(histogram: StreamingHistogram) -> Range:
    """From the smallest to the largest value, and 0."""
    return min(histogram.minimum, 0.0), max(histogram.maximum, 0.0)


def percentile_range(histogram: StreamingHistogram, percentile: float) -> Range:
    """Leaves at most 100 - `percentile` % of the values outside at each end; resolution: one bin."""
    least, greatest = minmax_range(histogram)
    if not histogram.total:
        return 0.0, 0.0
    cumulated = np.cumsum(histogram.counts)
    cut = histogram.total * (1 - percentile / 100)
    first = int(np.searchsorted(cumulated, cut, side="right"))
    last = int(np.searchsorted(cumulated, histogram.total - cut, side="left"))
    edges = histogram.edges
    low, high = float(edges[min(first, len(edges) - 2)]), float(edges[min(last, len(edges) - 2) + 1])
    return min(max(low, least), 0.0), max(min(high, greatest), 0.0)


def mse_range(histogram: StreamingHistogram, bits: int) -> Range:
    """The range with the least mean squared error of quantization to `bits` bits.

    Both ends are searched together, as fractions of the observed extremes: on a coarse grid over a coarse histogram,
    then twice on a finer grid around the best. (One end after the other gets stuck at few bits.)
    """
    least, greatest = minmax_range(histogram)
    if least == greatest:
        return 0.0, 0.0
    best_low = best_high = 0.5
    fine = histogram.bins if bits == 8 else _FINE_BINS
    for bins, points, radius in ((_COARSE_BINS, 32, 0.5), (fine, 9, 1 / 32), (fine, 9, 1 / 128)):
        lows, highs = np.meshgrid(
            _around(best_low, radius, points) if least else np.ones(1),
            _around(best_high, radius, points) if greatest else np.ones(1),
        )
        errors = quantization_errors(histogram.coarsened(bins), least * lows.ravel(), greatest * highs.ravel(), bits)
        best = int(np.argmin(errors))
        best_low, best_high = float(lows.flat[best]), float(highs.flat[best])
    return least * best_low, greatest * best_high


_COARSE_BINS = 256
_FINE_BINS = 1024  # 64 for each step of a 4-bit quantizer
_SMALLEST_FRACTION = 1 / 512


def _around(centre: float, radius: float, points: int) -> NDArray[np.float64]:
    """Fractions of an extreme, `radius` to either side of `centre`."""
    return np.clip(np.linspace(centre - radius, centre + radius, points), _SMALLEST_FRACTION, 1.0)


def quantization_errors(
    histogram: StreamingHistogram, lows: NDArray[np.float64], highs: NDArray[np.float64], bits: int
) -> NDArray[np.float64]:
    """Mean squared error of quantizing the histogram's values with each candidate range, values even in their bins.

    The squared error of an ideal uniform quantizer has the antiderivative E(t), in steps of the quantizer and t = 0 at
    the lowest code: rint(t) / 12 + (t - rint(t))**3 / 3 inside, a cubic beyond either end. A bin's error is E at its
    right border less E at its left one: no sampling, whatever the ratio of bin and step.
    """
    used = np.flatnonzero(histogram.counts)
    first, last = int(used[0]), int(used[-1]) + 1
    highest = 2**bits - 1
    scales, zero_points = affine_parameters(lows, highs, bits)
    codes = histogram.edges[first : last + 1] / scales[:, None] + zero_points[:, None]
    nearest = np.clip(np.rint(codes), 0, highest)
    distance = codes - nearest
    antiderivative = nearest / 12 + distance * distance * distance / 3  # pow takes thirty times as long
    errors: NDArray[np.float64] = np.diff(antiderivative) @ histogram.counts[first:last].astype(np.float64)
    errors *= scales**3 / (histogram.width * histogram.total)
    return errors


def affine_parameters(
    lows: NDArray[np.float64], highs: NDArray[np.float64], bits: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scales and integer zero points of ranges low <= 0 <= high."""
    highest = 2**bits - 1
    scales = (highs - lows) / highest
    scales = np.where(scales > 0, scales, 1.0)
    return scales, np.clip(np.rint(-lows / scales), 0, highest)


def qparams_of_range(low: float, high: float, bits: int) -> QParams:
    """Quantization parameters that cover low .. high and 0, up to the rounding of the zero point.

    An empty range, of a tensor that is always 0, gets the range 0 .. 1: any other does as well.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if high - low < SMALLEST_RANGE:
        widening = SMALLEST_RANGE / (high - low) if high > low else 0.0
        low, high = (low * widening, high * widening) if widening else (0.0, 1.0)
    scales, zero_points = affine_parameters(np.array([low]), np.array([high]), bits)
    return QParams(bits, float(scales[0]), int(zero_points[0]))


SMALLEST_RANGE = 1e-20
"""Ranges below are widened: ratios of scales have to stay within what 32-bit multipliers can represent."""
