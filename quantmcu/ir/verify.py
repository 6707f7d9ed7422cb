"""Checks that a graph is well formed. A violation is a mistake of ours, never of the user's model."""

from __future__ import annotations

import math

import numpy as np

from quantmcu.ir import ops
from quantmcu.ir.graph import Graph
from quantmcu.ir.ops import Op
from quantmcu.ir.shapes import Shape, effective_kernel, output_shape
from quantmcu.ir.tensor import Tensor

_ARITY: dict[type[Op], int | None] = {ops.Add: 2, ops.Sub: 2, ops.Mul: 2, ops.Concat: None}
"""Number of inputs where it is not one; None for any number above zero."""


def verify(graph: Graph) -> None:
    """Checks names, order, shapes and attributes of every operator and tensor.

    Raises:
        ValueError: names the operator or tensor and what differs.
    """
    _verify_tensors(graph)
    written = {*graph.inputs, *(tensor.name for tensor in graph.tensors.values() if tensor.data is not None)}
    names: set[str] = set()
    for op in graph.ops:
        if op.name in names:
            raise ValueError(f"two operators are called {op.name}")
        names.add(op.name)
        try:
            _verify_op(op, graph, written)
        except ValueError as error:
            raise ValueError(f"{type(op).__name__} {op.name}: {error}") from error
        written.update(op.outputs)
    missing = [name for name in graph.outputs if name not in written]
    if missing:
        raise ValueError(f"nothing writes the outputs {missing}")


def _verify_tensors(graph: Graph) -> None:
    for layouts, names in ((graph.input_layouts, graph.inputs), (graph.output_layouts, graph.outputs)):
        if layouts and len(layouts) != len(names):
            raise ValueError(f"{len(layouts)} layouts for {len(names)} tensors {names}")
        for name, layout in zip(names, layouts, strict=False):
            if layout is not None and sorted(layout) != list(range(len(graph.tensor(name).shape))):
                raise ValueError(f"layout {layout} does not permute the axes of {name} {graph.tensor(name).shape}")
    used = {*graph.inputs, *graph.outputs}
    for op in graph.ops:
        used.update(op.inputs, op.outputs)
    for name in graph.inputs:
        if graph.tensor(name).data is not None:
            raise ValueError(f"the input {name} is a constant")
    for name, tensor in graph.tensors.items():
        if name != tensor.name:
            raise ValueError(f"the tensor {tensor.name} is filed under {name}")
        if name not in used:
            raise ValueError(f"nothing uses the tensor {name}")
        if any(size < 1 for size in tensor.shape):
            raise ValueError(f"the tensor {name} has no elements: {tensor.shape}")
        if tensor.data is not None and (tensor.data.shape != tensor.shape or tensor.data.dtype != np.float32):
            raise ValueError(
                f"the constant {name} of {tensor.shape} holds {tensor.data.dtype} values of {tensor.data.shape}"
            )


def _verify_op(op: Op, graph: Graph, written: set[str]) -> None:
    arity = _ARITY.get(type(op), 1)
    if (arity is not None and len(op.inputs) != arity) or not op.inputs:
        raise ValueError(f"{len(op.inputs)} inputs")
    if len(op.outputs) != 1:
        raise ValueError(f"{len(op.outputs)} outputs")
    for name in op.inputs:
        if name not in written:
            raise ValueError(f"reads {name} before anything writes it")
    if op.output in written:
        raise ValueError(f"writes {op.output}, which is an input, a constant or another operator's output")
    _verify_output(op, [graph.tensor(name) for name in op.inputs], graph.tensor(op.output))
    _verify_window(op)


def _verify_output(op: Op, inputs: list[Tensor], output: Tensor) -> None:
    shapes = [tensor.shape for tensor in inputs]
    if output.shape not in _possible_shapes(op, shapes, output.shape):
        expected = output_shape(op, shapes)
        raise ValueError(f"output {output.name} has the shape {output.shape}, inputs of {shapes} give {expected}")
    moves = isinstance(op, (ops.Reshape, ops.Transpose, ops.Slice))
    if not moves and any(tensor.is_index for tensor in inputs):
        raise ValueError("computes with an index tensor")
    if output.is_index != (isinstance(op, ops.ArgMax) or (moves and inputs[0].is_index)):
        raise ValueError(f"output {output.name} has is_index={output.is_index}")


def _possible_shapes(op: Op, shapes: list[Shape], declared: Shape) -> tuple[Shape, ...]:
    if isinstance(op, ops.Reshape):
        return (declared,) if math.prod(declared) == math.prod(shapes[0]) else ()
    if isinstance(op, ops.ArgMax):
        return shapes[0][:-1], (*shapes[0][:-1], 1)
    shape = output_shape(op, shapes)
    return () if shape is None else (shape,)


def _verify_window(op: Op) -> None:
    if isinstance(op, (ops.Conv2D, ops.MaxPool, ops.AveragePool)):
        dilations = (1, 1) if isinstance(op, ops.AveragePool) else op.dilations
        if min(*op.kernel, *op.strides, *dilations) < 1 or min(op.pads) < 0:
            raise ValueError(f"kernel {op.kernel}, strides {op.strides}, dilations {dilations}, pads {op.pads}")
        if not isinstance(op, ops.Conv2D):
            spans = effective_kernel(op.kernel, dilations)
            if max(op.pads[0], op.pads[2]) >= spans[0] or max(op.pads[1], op.pads[3]) >= spans[1]:
                raise ValueError(f"padding {op.pads} makes windows of {spans} that lie outside the map")
    activation = getattr(op, "activation", None)
    if activation is not None and not activation.low <= activation.high:
        raise ValueError(f"activation {activation}")
