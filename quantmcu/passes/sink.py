"""Moves Reshapes and Transposes behind element-wise operators, which then follow the layer that they belong to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from quantmcu.ir import ops
from quantmcu.ir.graph import Graph
from quantmcu.ir.ops import Op
from quantmcu.ir.tensor import Tensor
from quantmcu.passes.rewrite import Rewrite, apply_rule, fresh_tensor, private_producer


def sink_moves(graph: Graph) -> Graph:
    """f(Reshape(x)) becomes Reshape(f(x)) for element-wise f; the same for Transpose."""
    return apply_rule(graph, _rule)


def _rule(graph: Graph, op: Op) -> Rewrite | None:
    if not isinstance(op, (ops.Unary, ops.PRelu, ops.Add, ops.Sub, ops.Mul)):
        return None
    moves = {name: move for name in op.inputs if (move := _move(graph, name)) is not None}
    if not moves:
        return None
    move = next(iter(moves.values()))
    before, after = graph.tensor(move.inputs[0]).shape, graph.tensor(move.output).shape
    if graph.tensor(op.output).shape != after or (isinstance(op, ops.PRelu) and not _keeps_channels(graph, move)):
        return None
    inputs: list[str] = []
    constants: list[Tensor] = []
    for name in op.inputs:
        if name in moves and _same_move(graph, moves[name], move):
            inputs.append(moves[name].inputs[0])
            continue
        constant = _moved_constant(graph, graph.tensor(name), move)
        if constant is None:
            return None
        constants.append(constant)
        inputs.append(constant.name)
    inner = fresh_tensor(graph, f"{op.output}_unmoved")
    moved = replace(move, inputs=(inner,), outputs=op.outputs)
    removed = (op, *dict.fromkeys(moves.values()))
    return Rewrite(
        removed, (replace(op, inputs=tuple(inputs), outputs=(inner,)), moved), (Tensor(inner, before), *constants)
    )


def _move(graph: Graph, name: str) -> Op | None:
    producer = private_producer(graph, name)
    return producer if isinstance(producer, (ops.Reshape, ops.Transpose)) else None


def _same_move(graph: Graph, a: Op, b: Op) -> bool:
    if isinstance(a, ops.Transpose) and isinstance(b, ops.Transpose):
        return a.permutation == b.permutation
    shapes = [graph.tensor(move.inputs[0]).shape for move in (a, b)]
    return isinstance(a, ops.Reshape) and isinstance(b, ops.Reshape) and shapes[0] == shapes[1]


def _keeps_channels(graph: Graph, move: Op) -> bool:
    """Whether the last axis is the same before and after."""
    if isinstance(move, ops.Transpose):
        return move.permutation[-1] == len(move.permutation) - 1
    return graph.tensor(move.inputs[0]).shape[-1] == graph.tensor(move.output).shape[-1]


def _moved_constant(graph: Graph, operand: Tensor, move: Op) -> Tensor | None:
    """A constant operand as it is needed before the move; None where it cannot be, or is no constant."""
    if operand.data is None:
        return None
    before = graph.tensor(move.inputs[0]).shape
    rank = len(before)
    if operand.data.size == 1:
        values = operand.data.reshape((1,) * rank)
    elif isinstance(move, ops.Transpose) and operand.data.ndim == rank:
        values = operand.data.transpose(np.argsort(move.permutation))
    elif operand.data.size == operand.shape[-1] and _keeps_channels(graph, move):
        values = operand.data.reshape((1,) * (rank - 1) + (-1,))
    elif operand.shape == graph.tensor(move.output).shape and isinstance(move, ops.Reshape):
        values = operand.data.reshape(before)
    else:
        return None
    if values.shape == operand.shape:
        return operand
    name = fresh_tensor(graph, f"{operand.name}_unmoved")
    return Tensor(name, values.shape, np.ascontiguousarray(values))
