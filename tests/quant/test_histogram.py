"""The streaming histogram equals the one of all data at once, in bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from quantmcu.quant.histogram import StreamingHistogram

FINITE = st.floats(-(2.0**60), 2.0**60, width=32, allow_subnormal=False).map(
    lambda value: value if abs(value) > 2.0**-50 else 0.0
)
PIECES = st.lists(arrays(np.float32, st.integers(0, 40), elements=FINITE), min_size=1, max_size=6)


def streamed(pieces: list[NDArray[np.float32]], bins: int) -> StreamingHistogram:
    histogram = StreamingHistogram(bins)
    for piece in pieces:
        histogram.add(piece)
    return histogram


@settings(max_examples=150, deadline=None)
@given(PIECES, st.sampled_from([4, 64, 4096]))
def test_equals_the_exact_histogram_whatever_the_pieces(pieces: list[NDArray[np.float32]], bins: int) -> None:
    values = np.concatenate(pieces).astype(np.float64)
    histogram = streamed(pieces, bins)
    exact, _ = np.histogram(values, histogram.edges)
    assert not values.size or values.max() < histogram.edges[-1]  # NumPy's last bin is closed, ours is not
    np.testing.assert_array_equal(histogram.counts, exact)
    assert histogram.total == values.size == histogram.counts.sum()
    assert histogram.counts.size <= bins


@settings(max_examples=100, deadline=None)
@given(PIECES, st.randoms(use_true_random=False))
def test_order_and_cutting_do_not_matter(pieces: list[NDArray[np.float32]], random: object) -> None:
    whole = streamed([np.concatenate(pieces)], 64)
    random.shuffle(pieces)
    parts = streamed(pieces, 64)
    assert (parts.width, parts.first) == (whole.width, whole.first)
    np.testing.assert_array_equal(parts.counts, whole.counts)
    assert (parts.minimum, parts.maximum) == (whole.minimum, whole.maximum)


def test_the_width_is_the_smallest_power_of_two() -> None:
    histogram = streamed([np.array([0.0, 100.0], np.float32)], 64)
    assert histogram.width == 2.0
    assert streamed([np.array([0.0, 127.9], np.float32)], 64).width == 2.0
    assert streamed([np.array([0.0, 128.0], np.float32)], 64).width == 4.0


def test_memory_does_not_grow() -> None:
    histogram = StreamingHistogram(128)
    rng = np.random.default_rng(0)
    for exponent in range(40):
        histogram.add((rng.standard_normal(1000) * 2.0**exponent).astype(np.float32))
    assert histogram.counts.nbytes <= 128 * 8
    assert histogram.total == 40_000


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="NaN or infinity"):
        StreamingHistogram().add(np.array([1.0, value], np.float32))
