"""Operators that reduce or normalise along axes."""

from __future__ import annotations

import math

from quantmcu.frontend.builder import Builder
from quantmcu.frontend.node import Node, View
from quantmcu.frontend.operators.axes import normalized, read_axes
from quantmcu.frontend.operators.pooling import mean
from quantmcu.frontend.registry import operator
from quantmcu.ir import ops


@operator("ReduceMean", attributes=("axes", "keepdims", "noop_with_empty_axes"), limits="axes constant")
def reduce_mean(node: Node, builder: Builder) -> None:
    """ReduceMean -> AveragePool, and a Reshape where the axes are dropped."""
    x = node.activation()
    shape = builder.shape(x)
    axes = read_axes(node, len(shape))
    if axes is None:
        axes = [] if node.attribute("noop_with_empty_axes", 0) else list(range(len(shape)))
    result = mean(node, builder, x, axes)
    if not node.attribute("keepdims", 1):
        kept = tuple(size for axis, size in enumerate(shape) if axis not in axes)
        result = builder.reshaped(node, result, kept)
    builder.set(node, result)


@operator("Softmax", attributes=("axis",))
def softmax(node: Node, builder: Builder) -> None:
    """Softmax over one axis; before opset 13 over all axes from `axis` on."""
    x = node.activation()
    shape = builder.shape(x)
    axis = normalized(node, node.attribute("axis", 1 if node.opset < 13 else -1), len(shape))
    if node.opset < 13 and math.prod(shape[axis:]) != shape[axis]:
        flat = builder.reshaped(node, x, (math.prod(shape[:axis]), math.prod(shape[axis:])), output=None)
        view = builder.with_last(node, flat, 1)
        result = View(builder.emit(ops.Softmax, node, [view.tensor], output=None), view.permutation)
        builder.set(node, builder.reshaped(node, result, shape))
        return
    view = builder.with_last(node, x, axis)
    builder.set(node, View(builder.emit(ops.Softmax, node, [view.tensor]), view.permutation))


@operator("ArgMax", attributes=("axis", "keepdims", "select_last_index"), limits="select_last_index = 0")
def arg_max(node: Node, builder: Builder) -> None:
    """Index of the largest value along one axis."""
    node.require("select_last_index", 0, (0,), "take the first index of equal values")
    x = node.activation()
    rank = len(builder.shape(x))
    axis = normalized(node, node.attribute("axis", 0), rank)
    view = builder.with_last(node, x, axis)
    keep = bool(node.attribute("keepdims", 1))
    stored = builder.stored_shape(view)[:-1] + ((1,) if keep else ())
    tensor = builder.emit(ops.ArgMax, node, [view.tensor], shape=stored, is_index=True)
    permutation = view.permutation if keep else tuple(p for a, p in enumerate(view.permutation) if a != axis)
    builder.set(node, View(tensor, permutation))
