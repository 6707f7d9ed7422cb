"""Reference of pooling in integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantmcu.program.steps import AveragePool, MaxPool
from quantmcu.reference.convolution import padded, window


def max_pool(step: MaxPool, codes: NDArray[np.uint8], output_shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Largest code of each window; code 0 as padding can't win over what is inside."""
    source = padded(codes, step.pads, 0)
    size = (output_shape[1], output_shape[2])
    taps = [
        window(source, ky * step.dilations[0], kx * step.dilations[1], size, step.strides)
        for ky in range(step.kernel[0])
        for kx in range(step.kernel[1])
    ]
    largest = taps[0]
    for tap in taps[1:]:
        largest = np.maximum(largest, tap)
    return largest.copy()


def average_pool(step: AveragePool, codes: NDArray[np.uint8], output_shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Mean of each window by a multiplication."""
    size = (output_shape[1], output_shape[2])
    source = padded(codes, step.pads, 0)
    inside = padded(np.ones((1, *codes.shape[1:3], 1), np.uint8), step.pads, 0)
    total = np.zeros(output_shape, np.int64)
    count = np.zeros((1, *size, 1), np.int64)
    for ky in range(step.kernel[0]):
        for kx in range(step.kernel[1]):
            total += window(source, ky, kx, size, step.strides)
            count += window(inside, ky, kx, size, step.strides)
    accumulator = total - count * step.input_zero_point
    multipliers = step.requantize.multiplier
    chosen = multipliers if len(multipliers) == 1 else multipliers[np.maximum(count, 1) - 1]
    return step.requantize.with_multiplier(chosen).apply(accumulator)
