"""Ranges of activations: least squared error against brute force, percentiles against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantmcu.quant.histogram import StreamingHistogram
from quantmcu.quant.ranges import (
    minmax_range,
    mse_range,
    percentile_range,
    qparams_of_range,
    quantization_errors,
)

SEEDS = st.integers(0, 2**16)


def distribution(seed: int, count: int = 20_000) -> np.ndarray:
    """Values as activations have them: a bulk, a tail, sometimes only one sign."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(count) * rng.uniform(0.01, 10) + rng.uniform(-1, 1)
    values[: count // 100] *= rng.uniform(1, 20)
    if seed % 3 == 0:
        values = np.maximum(values, 0)
    if seed % 5 == 0:
        values = -np.abs(values)
    return values.astype(np.float32)


def histogram_of(values: np.ndarray, bins: int = 4096) -> StreamingHistogram:
    histogram = StreamingHistogram(bins)
    histogram.add(values)
    return histogram


def measured_error(values: np.ndarray, low: float, high: float, bits: int) -> float:
    """Mean squared error of really quantizing the values."""
    qparams = qparams_of_range(low, high, bits)
    codes = np.clip(np.rint(values.astype(np.float64) / qparams.scale) + qparams.zero_point, 0, qparams.highest_code)
    return float(np.mean(((codes - qparams.zero_point) * qparams.scale - values) ** 2))


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.sampled_from([2, 4, 8]), st.floats(0.05, 1.2), st.floats(0.05, 1.2))
def test_error_from_the_histogram_is_the_measured_one(seed: int, bits: int, part_low: float, part_high: float) -> None:
    values = distribution(seed)
    low, high = minmax_range(histogram_of(values))
    low, high = low * part_low, high * part_high
    (error,) = quantization_errors(histogram_of(values), np.array([low]), np.array([high]), bits)
    step = qparams_of_range(low, high, bits).scale
    # what the histogram can't know: where in its bin a value lies, such as the many exact zeros behind a ReLU
    assert error == pytest.approx(measured_error(values, low, high, bits), rel=0.05, abs=0.01 * step**2)


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.sampled_from([2, 4, 8]))
def test_mse_range_is_as_good_as_brute_force(seed: int, bits: int) -> None:
    values = distribution(seed, 4000)
    least, greatest = min(float(values.min()), 0), max(float(values.max()), 0)
    fractions = np.linspace(0.03, 1, 25)
    brute = min(measured_error(values, least * a, greatest * b, bits) for a in fractions for b in fractions)
    low, high = mse_range(histogram_of(values), bits)
    assert least <= low <= 0 <= high <= greatest
    assert measured_error(values, low, high, bits) <= brute * 1.1


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.sampled_from([99.0, 99.9, 99.99]))
def test_percentile_range_is_numpys_up_to_a_bin(seed: int, percentile: float) -> None:
    values = distribution(seed)
    histogram = histogram_of(values)
    low, high = percentile_range(histogram, percentile)
    gap = histogram.width  # where the percentile falls on a value, either neighbour is one
    for got, wanted, clip in ((low, 100 - percentile, np.minimum), (high, percentile, np.maximum)):
        below, above = (clip(np.percentile(values, wanted, method=method), 0) for method in ("lower", "higher"))
        assert below - gap <= got <= above + gap


def test_a_bound_that_is_reached_is_the_exact_end() -> None:
    values = np.concatenate([np.full(500, 6.0), np.linspace(0, 6, 500)]).astype(np.float32)
    assert percentile_range(histogram_of(values), 99.9) == (0.0, 6.0)
    assert mse_range(histogram_of(values), 8)[1] == pytest.approx(6.0, abs=0.01)


def test_a_tensor_of_zeros_has_a_usable_range() -> None:
    histogram = histogram_of(np.zeros(10, np.float32))
    for low, high in (minmax_range(histogram), percentile_range(histogram, 99), mse_range(histogram, 8)):
        assert (low, high) == (0.0, 0.0)
    assert qparams_of_range(0.0, 0.0, 8).range == (0.0, 1.0)


@given(st.floats(-1e30, 1e30), st.floats(-1e30, 1e30), st.sampled_from([2, 4, 8]))
def test_qparams_hold_zero_exactly_and_cover_the_range(first: float, second: float, bits: int) -> None:
    low, high = min(first, second), max(first, second)
    qparams = qparams_of_range(low, high, bits)
    assert qparams.dequantize(qparams.quantize(np.zeros(1)))[0] == 0
    covered_low, covered_high = qparams.range
    assert covered_low <= low + 0.501 * qparams.scale or covered_low <= 0 <= low
    assert covered_high >= high - 0.501 * qparams.scale or covered_high >= 0 >= high
