"""Operators that change only the shape."""

from __future__ import annotations

import math

import numpy as np

from quantmcu.frontend.builder import Builder
from quantmcu.frontend.node import Node
from quantmcu.frontend.operators.axes import normalized, read_axes
from quantmcu.frontend.registry import UnsupportedError, folded, operator

folded(
    *("Constant", "ConstantOfShape", "Expand", "Gather", "Range", "Where"),
    limits="on constants only, as in computations of shapes (like every other ONNX operator of constants)",
)


@operator("Size")
@operator("Shape", attributes=("start", "end"))
def shape_of(node: Node, builder: Builder) -> None:
    """Shapes are known at compile time."""
    shape = np.array(builder.shape(node.value(0)), np.int64)
    if node.operator == "Size":
        builder.set(node, np.array(shape.prod()))
    else:
        builder.set(node, shape[node.attribute("start", 0) : node.attribute("end")])


@operator("Reshape", attributes=("allowzero",), limits="shape constant")
def reshape(node: Node, builder: Builder) -> None:
    """Reshape: 0 copies an axis, -1 is what remains."""
    x = node.activation()
    old = builder.shape(x)
    wanted = node.integers(1, "shape")
    keep_zero = bool(node.attribute("allowzero", 0))
    if any(size == 0 and (keep_zero or axis >= len(old)) for axis, size in enumerate(wanted)):
        raise UnsupportedError("an axis would have no elements", "export the model again", f"shape = {wanted}")
    shape = [old[axis] if size == 0 else size for axis, size in enumerate(wanted)]
    if -1 in shape:
        known = -math.prod(shape)
        shape[shape.index(-1)] = math.prod(old) // known if known > 0 else -1
    builder.set(node, builder.reshaped(node, x, tuple(shape)))


@operator("Flatten", attributes=("axis",))
def flatten(node: Node, builder: Builder) -> None:
    """Flatten to two axes."""
    x = node.activation()
    shape = builder.shape(x)
    axis = node.attribute("axis", 1)
    axis = axis + len(shape) if axis < 0 else axis
    builder.set(node, builder.reshaped(node, x, (math.prod(shape[:axis]), math.prod(shape[axis:]))))


@operator("Squeeze", attributes=("axes",), limits="axes constant")
def squeeze(node: Node, builder: Builder) -> None:
    """Removes axes of size 1."""
    x = node.activation()
    shape = builder.shape(x)
    axes = read_axes(node, len(shape))
    if axes is None:
        axes = [axis for axis, size in enumerate(shape) if size == 1]
    if any(shape[axis] != 1 for axis in axes):
        raise UnsupportedError(
            f"removes an axis of {list(shape)} that is not 1", "export the model again", f"axes = {axes}"
        )
    builder.set(node, builder.reshaped(node, x, tuple(size for axis, size in enumerate(shape) if axis not in axes)))


@operator("Unsqueeze", attributes=("axes",), limits="axes constant")
def unsqueeze(node: Node, builder: Builder) -> None:
    """Inserts axes of size 1."""
    x = node.activation()
    shape = builder.shape(x)
    given = node.integers(1, "list of axes") if node.has(1) else list(node.attribute("axes"))
    rank = len(shape) + len(given)
    axes = {normalized(node, axis, rank, "axes") for axis in given}
    sizes = iter(shape)
    builder.set(node, builder.reshaped(node, x, tuple(1 if axis in axes else next(sizes) for axis in range(rank))))
