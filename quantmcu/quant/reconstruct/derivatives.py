"""Operators without weights and their derivatives, on several samples at once, where the IR has a batch of 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantmcu.ir import ops
from quantmcu.program.functions import evaluate

Array = NDArray[np.float32]
Backward = Callable[[Array], Sequence[Array]]
"""From the gradient of the output, those of the inputs, in the order of the inputs."""

Applied = tuple[Array, Backward]


def has_derivative(op: ops.Op) -> bool:
    """Whether gradients can pass through the operator (convolutions and dense layers: `apply_layer`)."""
    if isinstance(op, ops.Pad):
        return op.mode == "constant"
    return isinstance(op, ops.Conv2D | ops.Dense) or type(op) in _OPERATORS


def apply(op: ops.Op, inputs: Sequence[Array], shape: tuple[int, ...]) -> Applied:
    """The output of an operator that `has_derivative`, in real numbers and without its activation; and its derivative.

    Args:
        op: the operator.
        inputs: by its inputs, [samples, ...]; constant operands have one "sample".
        shape: of the output for one sample, as the IR has it.
    """
    return _OPERATORS[type(op)](op, inputs, shape)


def _add(op: ops.Add, inputs: Sequence[Array], shape: tuple[int, ...], sign: int = 1) -> Applied:
    left, right = inputs
    total = left + right if sign > 0 else left - right
    return total, lambda dy: (_summed_to(left.shape, dy), _summed_to(right.shape, sign * dy))


def _multiply(op: ops.Mul, inputs: Sequence[Array], shape: tuple[int, ...]) -> Applied:
    left, right = inputs
    return left * right, lambda dy: (_summed_to(left.shape, dy * right), _summed_to(right.shape, dy * left))


def _summed_to(shape: tuple[int, ...], gradient: Array) -> Array:
    """The gradient of an operand that was broadcast."""
    extra = gradient.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(
        extra + axis for axis, size in enumerate(shape) if size == 1 and gradient.shape[extra + axis] > 1
    )
    return gradient.sum(axis=axes, keepdims=True).reshape(shape) if axes else gradient


def _unary(op: ops.Unary, inputs: Sequence[Array], shape: tuple[int, ...]) -> Applied:
    """The slope is a central difference: functions are tabulated anyway, only their gist matters."""
    x = inputs[0].astype(np.float64)
    step = 1e-3
    slope = ((evaluate(op, x + step) - evaluate(op, x - step)) / (2 * step)).astype(np.float32)
    return evaluate(op, x).astype(np.float32), lambda dy: (dy * slope,)


def _average_pool(op: ops.AveragePool, inputs: Sequence[Array], shape: tuple[int, ...]) -> Applied:
    x = inputs[0]
    if op.kernel == x.shape[1:3] and not any(op.pads):
        area = np.float32(op.kernel[0] * op.kernel[1])
        return x.mean(axis=(1, 2), keepdims=True), lambda dy: (np.broadcast_to(dy / area, x.shape),)
    top, left, bottom, right = op.pads
    margins = ((0, 0), (top, bottom), (left, right), (0, 0))
    padded = np.pad(x, margins)
    counted = np.pad(np.ones((1, *x.shape[1:3], 1), np.float32), margins, constant_values=float(op.count_include_pad))
    windows = [
        tuple(
            slice(k, k + (size - 1) * stride + 1, stride)
            for k, size, stride in zip(tap, shape[1:3], op.strides, strict=True)
        )
        for tap in np.ndindex(op.kernel)
    ]
    count = sum((counted[:, rows, columns] for rows, columns in windows), np.float32(0))

    def backward(dy: Array) -> tuple[Array]:
        dx = np.zeros_like(padded)
        share = dy / count
        for rows, columns in windows:
            dx[:, rows, columns] += share  # within one tap no element is met twice
        return (dx[:, top : top + x.shape[1], left : left + x.shape[2]],)

    total = sum((padded[:, rows, columns] for rows, columns in windows), np.float32(0))
    return np.asarray(total / count, np.float32), backward


def _concat(op: ops.Concat, inputs: Sequence[Array], shape: tuple[int, ...]) -> Applied:
    samples = max(len(x) for x in inputs)
    parts = [np.broadcast_to(x, (samples, *x.shape[1:])) for x in inputs]
    borders = np.cumsum([x.shape[op.axis] for x in inputs])[:-1]

    def backward(dy: Array) -> list[Array]:
        return [_summed_to(x.shape, part) for x, part in zip(inputs, np.split(dy, borders, op.axis), strict=True)]

    return np.concatenate(parts, axis=op.axis), backward


def _pad(op: ops.Pad, inputs: Sequence[Array], shape: tuple[int, ...]) -> Applied:
    y = np.pad(inputs[0], tuple(zip(op.before, op.after, strict=True)), constant_values=op.value)
    inside = tuple(slice(b, b + size) for b, size in zip(op.before, inputs[0].shape, strict=True))
    return y, lambda dy: (dy[inside],)


def _slice(op: ops.Slice, inputs: Sequence[Array], shape: tuple[int, ...]) -> Applied:
    x = inputs[0]
    chosen = (slice(None), *(slice(*part) for part in zip(op.starts[1:], op.ends[1:], op.steps[1:], strict=True)))

    def backward(dy: Array) -> tuple[Array]:
        dx = np.zeros_like(x)
        dx[chosen] = dy
        return (dx,)

    return x[chosen], backward


def _reshape(op: ops.Reshape, inputs: Sequence[Array], shape: tuple[int, ...]) -> Applied:
    x = inputs[0]
    return x.reshape(len(x), *shape[1:]), lambda dy: (dy.reshape(x.shape),)


def _transpose(op: ops.Transpose, inputs: Sequence[Array], shape: tuple[int, ...]) -> Applied:
    inverse = tuple(np.argsort(op.permutation))
    return inputs[0].transpose(op.permutation), lambda dy: (dy.transpose(inverse),)


_OPERATORS: dict[type[ops.Op], Callable[[Any, Sequence[Array], tuple[int, ...]], Applied]] = {
    ops.Add: _add,
    ops.Sub: partial(_add, sign=-1),
    ops.Mul: _multiply,
    ops.Unary: _unary,
    ops.AveragePool: _average_pool,
    ops.Concat: _concat,
    ops.Pad: _pad,
    ops.Slice: _slice,
    ops.Reshape: _reshape,
    ops.Transpose: _transpose,
}
