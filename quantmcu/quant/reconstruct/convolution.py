"""Convolutions and dense layers with their derivatives; maps are [samples, rows, columns, channels].

Matrix products for pointwise and dense layers, shifted multiply-adds for depthwise ones, im2col for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from quantmcu.ir import ops

Array = NDArray[np.float32]
LayerBackward = Callable[[Array, bool], tuple[Array | None, Array]]
"""From the gradient of the output, those of the input (None unless it is wanted) and of the weight."""


def apply_layer(op: ops.Conv2D | ops.Dense, x: Array, weight: Array) -> tuple[Array, LayerBackward]:
    """The layer without its bias, with `weight` (shaped as the operator's) in place of its own; and its derivative."""
    if isinstance(op, ops.Dense):
        return _matrix_product(x, weight)
    if op.is_depthwise and len(op.weight) == op.groups:
        return _depthwise(op, x, weight)
    if op.groups == 1 and op.kernel == (1, 1) and op.strides == (1, 1) and not any(op.pads):
        y, backward = _matrix_product(x, weight.reshape(len(weight), -1))
        return y, lambda dy, wanted: _reshaped(backward(dy, wanted), weight.shape)
    return _by_columns(op, x, weight)


def _reshaped(gradients: tuple[Array | None, Array], shape: tuple[int, ...]) -> tuple[Array | None, Array]:
    return gradients[0], gradients[1].reshape(shape)


def _matrix_product(x: Array, weight: Array) -> tuple[Array, LayerBackward]:
    """y[..., o] = sum of weight[o, i] x[..., i]."""
    rows = x.reshape(-1, x.shape[-1])

    def backward(dy: Array, wanted: bool) -> tuple[Array | None, Array]:
        flat = dy.reshape(-1, dy.shape[-1])
        return (flat @ weight).reshape(x.shape) if wanted else None, flat.T @ rows

    return (rows @ weight.T).reshape(*x.shape[:-1], len(weight)), backward


def _depthwise(op: ops.Conv2D, x: Array, weight: Array) -> tuple[Array, LayerBackward]:
    """One sample after another: their maps stay in the cache."""
    padded = _padded(op, x)
    taps = weight.transpose(3, 1, 2, 0)[0]  # [ky, kx, channels]
    y = np.zeros((len(x), *_output_size(op, padded), x.shape[-1]), np.float32)
    product = np.empty(y.shape[1:], np.float32)
    for sample in range(len(x)):
        for ky, kx, window in _windows(op, padded[sample], y.shape[1:3]):
            np.multiply(window, taps[ky, kx], out=product)
            y[sample] += product

    def backward(dy: Array, wanted: bool) -> tuple[Array | None, Array]:
        dtaps = np.zeros_like(taps)
        ones = np.ones(y.shape[1] * y.shape[2], np.float32)
        dx = np.zeros_like(padded) if wanted else None
        for sample in range(len(x)):
            for ky, kx, window in _windows(op, padded[sample], y.shape[1:3]):
                np.multiply(window, dy[sample], out=product)
                dtaps[ky, kx] += ones @ product.reshape(len(ones), -1)
            if dx is not None:
                for ky, kx, window in _windows(op, dx[sample], y.shape[1:3]):
                    np.multiply(dy[sample], taps[ky, kx], out=product)
                    window += product
        return _cropped(op, dx, x), dtaps.transpose(2, 0, 1)[..., None]

    return y, backward


def _by_columns(op: ops.Conv2D, x: Array, weight: Array) -> tuple[Array, LayerBackward]:
    """im2col: a matrix product for each group; [samples, rows, columns, groups, ky, kx, channels of the group]."""
    padded = _padded(op, x)
    size = _output_size(op, padded)
    columns = np.empty((len(x), *size, op.groups, *op.kernel, x.shape[-1] // op.groups), np.float32)
    for sample in range(len(x)):
        for ky, kx, window in _windows(op, padded[sample], size):
            columns[sample, :, :, :, ky, kx] = window.reshape(*size, op.groups, -1)
    rows = columns.reshape(-1, op.groups, weight[0].size).transpose(1, 0, 2)
    grouped = weight.reshape(op.groups, len(weight) // op.groups, -1)
    y = (rows @ grouped.transpose(0, 2, 1)).transpose(1, 0, 2).reshape(len(x), *size, len(weight))

    def backward(dy: Array, wanted: bool) -> tuple[Array | None, Array]:
        flat = dy.reshape(rows.shape[1], op.groups, -1).transpose(1, 0, 2)
        dweight = (flat.transpose(0, 2, 1) @ rows).reshape(weight.shape)
        if not wanted:
            return None, dweight
        dcolumns = (flat @ grouped).transpose(1, 0, 2).reshape(columns.shape)
        dx = np.zeros_like(padded)
        for sample in range(len(x)):
            for ky, kx, window in _windows(op, dx[sample], size):
                window += dcolumns[sample, :, :, :, ky, kx].reshape(*size, -1)
        return _cropped(op, dx, x), dweight

    return y, backward


def _padded(op: ops.Conv2D, x: Array) -> Array:
    top, left, bottom, right = op.pads
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0))) if any(op.pads) else x


def _cropped(op: ops.Conv2D, padded: Array | None, like: Array) -> Array | None:
    """The part of a padded gradient that belongs to the input."""
    top, left = op.pads[:2]
    return None if padded is None else padded[:, top : top + like.shape[1], left : left + like.shape[2]]


def _output_size(op: ops.Conv2D, padded: Array) -> tuple[int, int]:
    rows, columns = (
        (size - (kernel - 1) * dilation - 1) // stride + 1
        for size, kernel, dilation, stride in zip(padded.shape[1:3], op.kernel, op.dilations, op.strides, strict=True)
    )
    return rows, columns


def _windows(op: ops.Conv2D, padded: Array, size: tuple[int, ...]) -> Iterator[tuple[int, int, Array]]:
    """For each tap, the values of one sample's padded map that it meets: [rows, columns, channels], a view."""
    for ky in range(op.kernel[0]):
        for kx in range(op.kernel[1]):
            top, left = ky * op.dilations[0], kx * op.dilations[1]
            bottom, right = top + (size[0] - 1) * op.strides[0] + 1, left + (size[1] - 1) * op.strides[1] + 1
            yield ky, kx, padded[top : bottom : op.strides[0], left : right : op.strides[1]]
