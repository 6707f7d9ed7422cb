"""Which input rows and columns each output row and column of a Resize reads (ONNX operator Resize, versions 11 to 19).

Positions are computed in float32, in the order in which ONNX Runtime does, so that ties fall the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantmcu.ir.ops import Resize
from quantmcu.ir.shapes import resized

IndexArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class AxisTable:
    """One axis of a Resize: output i is (1 - fraction[i]) * input[low[i]] + fraction[i] * input[high[i]].

    For `nearest`, low and high are equal and every fraction is 0.
    """

    low: IndexArray
    high: IndexArray
    fraction: NDArray[np.float32]


def resize_tables(op: Resize, size: tuple[int, int]) -> tuple[AxisTable, AxisTable]:
    """Tables of the rows and of the columns for an input map of `size` = (height, width)."""
    rows, columns = (_axis_table(op, length, scale) for length, scale in zip(size, op.scales, strict=True))
    return rows, columns


def _axis_table(op: Resize, length: int, scale: float) -> AxisTable:
    positions = _positions(op, length, resized(length, scale), np.float32(scale))
    if op.mode == "nearest":
        nearest = np.clip(_round(op, positions), 0, length - 1).astype(np.int64)
        return AxisTable(nearest, nearest, np.zeros(len(nearest), np.float32))
    positions = np.clip(positions, 0, length - 1)
    low = np.floor(positions).astype(np.int64)
    high = np.minimum(low + 1, length - 1)
    fraction = np.where(high > low, positions - low.astype(np.float32), np.float32(0)).astype(np.float32)
    return AxisTable(low, high, fraction)


def _positions(op: Resize, length: int, output_length: int, scale: np.float32) -> NDArray[np.float32]:
    """Position in the input of each output, `coordinate_transformation_mode` of ONNX."""
    output = np.arange(output_length, dtype=np.float32)
    half = np.float32(0.5)
    if op.coordinates == "asymmetric":
        return output / scale
    if op.coordinates == "align_corners":
        if output_length == 1:
            return np.zeros(1, np.float32)
        return output * np.float32(length - 1) / np.float32(output_length - 1)
    if op.coordinates == "pytorch_half_pixel" and output_length == 1:
        return np.zeros(1, np.float32)
    centred = (output + half) / scale - half
    if op.coordinates == "half_pixel_symmetric":
        adjustment = np.float32(output_length) / (scale * np.float32(length))
        return np.float32(length) / np.float32(2) * (np.float32(1) - adjustment) + centred
    return centred


def _round(op: Resize, positions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Whole positions, `nearest_mode` of ONNX."""
    if op.rounding == "floor":
        return np.asarray(np.floor(positions))
    if op.rounding == "ceil":
        return np.asarray(np.ceil(positions))
    half = np.float32(0.5)
    if op.rounding == "round_prefer_floor":
        return np.asarray(np.ceil(positions - half))
    return np.asarray(np.floor(positions + half))
