"""Reference of operators that move codes: joining, cutting, padding, resizing, permuting."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantmcu.program.steps import (
    LINEAR_FRACTION_BITS,
    Concatenate,
    GatherRowsColumns,
    Pad,
    ResizeLinear,
    Slice,
    Transpose,
)

Codes = NDArray[np.uint8]


def concatenate(step: Concatenate, *codes: Codes) -> Codes:
    """Joins along an axis, each input in the output's scale."""
    parts = [part if form is None else form.apply(part) for part, form in zip(codes, step.forms, strict=True)]
    return np.concatenate(parts, axis=step.axis)


def slice_(step: Slice, codes: Codes) -> Codes:
    """A box of the input."""
    return codes[tuple(slice(*bounds) for bounds in zip(step.starts, step.ends, step.steps, strict=True))].copy()


def pad(step: Pad, codes: Codes) -> Codes:
    """Constant padding."""
    return np.pad(codes, list(zip(step.before, step.after, strict=True)), constant_values=step.value)


def gather_rows_columns(step: GatherRowsColumns, codes: Codes) -> Codes:
    """Rows and columns by index."""
    return codes[:, step.rows][:, :, step.columns].copy()


def resize_linear(step: ResizeLinear, codes: Codes) -> Codes:
    """Bilinear interpolation."""
    one = 1 << LINEAR_FRACTION_BITS
    source = codes.astype(np.int64)
    low, high = source[:, step.low_rows], source[:, step.high_rows]
    fx: NDArray[np.int64] = step.column_fractions.astype(np.int64)[:, None]
    fy: NDArray[np.int64] = step.row_fractions.astype(np.int64)[:, None, None]
    left, right = (one - fx), fx
    top = low[:, :, step.low_columns] * left + low[:, :, step.high_columns] * right
    bottom = high[:, :, step.low_columns] * left + high[:, :, step.high_columns] * right
    total = (top * (one - fy) + bottom * fy).astype(np.int64)
    half = 1 << (2 * LINEAR_FRACTION_BITS - 1)
    result: Codes = np.right_shift(total + half, 2 * LINEAR_FRACTION_BITS).astype(np.uint8)
    return result


def transpose(step: Transpose, codes: Codes) -> Codes:
    """Permuted axes."""
    return np.ascontiguousarray(codes.transpose(step.permutation))
