"""Reference of element-wise operators in integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantmcu.program.steps import ArgMax, DetectOutliers, Linear, Lookup, Multiply, PRelu, Softmax

Codes = NDArray[np.uint8]


def linear(step: Linear, *codes: Codes) -> Codes:
    """Add, Sub, change of scale."""
    return step.form.apply(*codes)


def multiply(step: Multiply, left: Codes, right: Codes) -> Codes:
    """Product of two maps, or of a map and a gate."""
    accumulator = (left.astype(np.int64) - step.zero_points[0]) * (right.astype(np.int64) - step.zero_points[1])
    return step.requantize.apply(accumulator)


def lookup(step: Lookup, codes: Codes) -> Codes:
    """Table look-up."""
    return step.table[codes]


def prelu(step: PRelu, codes: Codes) -> Codes:
    """Two multipliers, by the sign."""
    accumulator = codes.astype(np.int64) - step.input_zero_point
    multiplier = np.where(accumulator >= 0, step.requantize.multiplier[0], step.requantize.multiplier[1:])
    return step.requantize.with_multiplier(multiplier.astype(np.int32)).apply(accumulator)


def softmax(step: Softmax, codes: Codes) -> Codes:
    """Softmax over the last axis with a table of exponentials."""
    difference = codes.max(axis=-1, keepdims=True) - codes
    exponential = step.exponentials[difference].astype(np.int64)
    total = exponential.sum(axis=-1, keepdims=True)
    result: Codes = np.minimum((exponential * 256 + total // 2) // total, 255).astype(np.uint8)
    return result


def argmax(step: ArgMax, codes: Codes, output_shape: tuple[int, ...]) -> NDArray[np.int32]:
    """First index of the largest code."""
    indices: NDArray[np.int32] = codes.argmax(axis=-1).astype(np.int32).reshape(output_shape)
    return indices


def detect_outliers(
    step: DetectOutliers, codes: NDArray[np.uint8], output_shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Whether more than `limit` codes are outliers."""
    outliers = int(((codes < step.low) | (codes > step.high)).sum())
    return np.full(output_shape, outliers > step.limit, np.uint8)
