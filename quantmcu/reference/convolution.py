"""Reference of convolution in integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantmcu.program.steps import Convolution


def padded(codes: NDArray[np.uint8], pads: tuple[int, int, int, int], value: int) -> NDArray[np.uint8]:
    """`codes` [1, H, W, C] surrounded by `value`: top, left, bottom, right."""
    top, left, bottom, right = pads
    return np.pad(codes, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)


def window(
    codes: NDArray[np.uint8], row: int, column: int, output: tuple[int, int], strides: tuple[int, int]
) -> NDArray[np.uint8]:
    """What the kernel tap at (row, column) of the padded map sees for every output position: [1, OH, OW, C]."""
    height, width = output
    return codes[
        :,
        row : row + (height - 1) * strides[0] + 1 : strides[0],
        column : column + (width - 1) * strides[1] + 1 : strides[1],
    ]


def convolution(step: Convolution, codes: NDArray[np.uint8], output_shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Codes [1, H, W, C] to codes [1, OH, OW, O]."""
    source = padded(codes, step.pads, step.input_zero_point)
    size = (output_shape[1], output_shape[2])
    height, width = step.kernel
    accumulator = np.zeros(output_shape, np.int64)
    for ky in range(height):
        for kx in range(width):
            seen = window(source, ky * step.dilations[0], kx * step.dilations[1], size, step.strides)
            accumulator += _tap(step, seen, step.weight[:, ky, kx, :])
    return step.requantize.apply(accumulator + step.bias)


def _tap(step: Convolution, seen: NDArray[np.uint8], weight: NDArray[np.int8]) -> NDArray[np.int64]:
    """Sum over the input channels of one kernel tap; weight [O, C / groups].

    The matrix product runs in float64, which is exact: a sum of products below 2**15 stays far below 2**53.
    """
    if step.is_depthwise:
        multiplier = weight.shape[0] // step.groups
        return np.repeat(seen, multiplier, axis=-1).astype(np.int64) * weight[:, 0]
    outputs, inputs = weight.shape[0] // step.groups, weight.shape[1]
    parts = [
        seen[..., g * inputs : (g + 1) * inputs].astype(np.float64)
        @ weight[g * outputs : (g + 1) * outputs].T.astype(np.float64)
        for g in range(step.groups)
    ]
    return np.concatenate(parts, axis=-1).astype(np.int64)
