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


def mse_range(histogram: StreamingHistogram, bits: int, candidates: int = 64) -> Range:
    """The range with the least mean squared error of quantization to `bits` bits.

    Both ends are searched in turn, on grids of `candidates` values that narrow twice around the best one.
    """
    least, greatest = minmax_range(histogram)
    if least == greatest:
        return 0.0, 0.0
    low, high = least, greatest
    fractions = np.linspace(1 / candidates, 1.0, candidates)
    for narrowing in range(3):
        for _ in range(2):
            for end in ("high", "low"):
                limit = greatest if end == "high" else least
                if limit == 0.0:
                    continue
                current = high if end == "high" else low
                span = candidates**-narrowing * 4**narrowing
                tried = np.clip(current / limit + (fractions - 0.5) * 2 * span, 1e-3, 1.0) if narrowing else fractions
                ends = np.append(limit * tried, current)
                lows, highs = (np.full_like(ends, low), ends) if end == "high" else (ends, np.full_like(ends, high))
                best = int(np.argmin(quantization_errors(histogram, lows, highs, bits)))
                low, high = float(lows[best]), float(highs[best])
    return low, high


def quantization_errors(
    histogram: StreamingHistogram, lows: NDArray[np.float64], highs: NDArray[np.float64], bits: int
) -> NDArray[np.float64]:
    """Mean squared error of quantizing the histogram's values with each candidate range, values even in their bins.

    The squared error of an ideal uniform quantizer has the antiderivative E(t), in steps of the quantizer and t = 0 at
    the lowest code: rint(t) / 12 + (t - rint(t))**3 / 3 inside, a cubic beyond either end. A bin's error is E at its
    right border less E at its left one: no sampling, whatever the ratio of bin and step.
    """
    used = np.flatnonzero(histogram.counts)
    edges = histogram.edges
    highest = 2**bits - 1
    scales, zero_points = affine_parameters(lows, highs, bits)

    def antiderivative(values: NDArray[np.float64]) -> NDArray[np.float64]:
        codes = values / scales[:, None] + zero_points[:, None]
        nearest = np.clip(np.rint(codes), 0, highest)
        return nearest / 12 + (codes - nearest) ** 3 / 3

    area = antiderivative(edges[used + 1]) - antiderivative(edges[used])
    errors: NDArray[np.float64] = area @ histogram.counts[used].astype(np.float64)
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
