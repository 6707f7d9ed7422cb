"""Joining and dividing tensors."""

from __future__ import annotations

import math

import numpy as np

from quantmcu.frontend.builder import Builder
from quantmcu.frontend.node import Node, View, finite_float32
from quantmcu.frontend.operators.axes import normalized
from quantmcu.frontend.registry import UnsupportedError, operator
from quantmcu.ir import ops


@operator("Concat", attributes=("axis",), limits="not along the batch")
def concat(node: Node, builder: Builder) -> None:
    """Concat -> Concat, in the memory layout of its largest operand."""
    values = [node.value(index) for index in range(len(node.values))]
    views = [value for value in values if isinstance(value, View)]
    reference = max(views, key=lambda view: math.prod(builder.shape(view)))
    rank = len(reference.permutation)
    if any(len(builder.shape(value)) != rank for value in values):
        raise UnsupportedError("its inputs differ in rank", "export the model again")
    axis = normalized(node, node.attribute("axis"), rank)
    if axis == 0 and rank > 1:
        raise UnsupportedError("joins along the batch", "the batch is always 1; join along another axis", "axis = 0")
    tensors = []
    for index, value in enumerate(values):
        if isinstance(value, View):
            tensors.append(builder.stored(node, value, reference.permutation))
        else:
            checked = finite_float32(value, f"input {index} ({node.input_names[index]})", "constant")
            tensors.append(
                builder.constant(np.transpose(checked, np.argsort(reference.permutation)), node.input_names[index])
            )
    result = builder.emit(ops.Concat, node, tensors, axis=reference.permutation[axis])
    builder.set(node, View(result, reference.permutation))


@operator("Split", attributes=("axis", "num_outputs", "split"), limits="sizes constant")
def split(node: Node, builder: Builder) -> None:
    """Split -> one Slice for each output."""
    x = node.activation()
    shape = builder.shape(x)
    axis = normalized(node, node.attribute("axis", 0), len(shape))
    count = node.attribute("num_outputs", len(node.outputs))
    if node.has(1):
        sizes = node.integers(1, "list of sizes")
    elif node.attribute("split") is not None:
        sizes = list(node.attribute("split"))
    else:
        chunk = -(-shape[axis] // count)
        sizes = [min(chunk, shape[axis] - i * chunk) for i in range(count)]
    if sum(sizes) != shape[axis] or len(sizes) < len(node.outputs) or min(sizes) < 1:
        raise UnsupportedError(
            f"sizes {sizes} do not divide an axis of {shape[axis]}", "export the model again", f"axis = {axis}"
        )
    start = 0
    for output, size in enumerate(sizes):
        if output < len(node.outputs) and node.outputs[output]:
            starts, ends = [0] * len(shape), list(builder.stored_shape(x))
            starts[x.permutation[axis]], ends[x.permutation[axis]] = start, start + size
            tensor = builder.emit(
                ops.Slice,
                node,
                [x.tensor],
                output=output,
                suffix="" if output == 0 else f"_{output}",
                starts=tuple(starts),
                ends=tuple(ends),
                steps=(1,) * len(shape),
            )
            builder.set(node, View(tensor, x.permutation), output)
        start += size
