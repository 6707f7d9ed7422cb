"""Removes operators that change nothing, and joins pairs that one operator can do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from quantmcu.ir import ops
from quantmcu.ir.graph import Graph
from quantmcu.ir.ops import Clamp, Op
from quantmcu.passes.rewrite import Rewrite, apply_rule, bypass


def remove_identities(graph: Graph) -> Graph:
    """Removes operators without effect; joins successive Reshapes, Transposes and clamps."""
    return apply_rule(graph, _rule)


def compose(first: Clamp, second: Clamp) -> Clamp:
    """The clamp that does `first`, then `second`."""
    low, high = (min(max(bound, second.low), second.high) for bound in (first.low, first.high))
    return Clamp(low, high)


def _rule(graph: Graph, op: Op) -> Rewrite | None:
    for source in op.inputs:
        if graph.tensor(source).data is None and _keeps(graph, op, source):
            return bypass(graph, op, source)
    return _joined(graph, op)


def _keeps(graph: Graph, op: Op, source: str) -> bool:
    """Whether the output of `op` equals its input `source`."""
    if graph.tensor(source).shape != graph.tensor(op.output).shape or getattr(op, "activation", None) is not None:
        return False
    match op:
        case (
            ops.Reshape() | ops.Slice() | ops.Pad() | ops.Concat()
        ):  # of one shape, so all elements stay where they are
            return True
        case ops.Transpose():
            return op.permutation == tuple(range(len(op.permutation)))
        case ops.Unary():
            return op.function == "clamp" and (op.alpha, op.beta) == (-np.inf, np.inf)
        case ops.MaxPool() | ops.AveragePool():
            return op.kernel == (1, 1) and op.strides == (1, 1)
        case ops.Resize():
            return op.scales == (1.0, 1.0)
        case ops.Add() | ops.Mul():
            return _other_is(graph, op, source, 1.0 if isinstance(op, ops.Mul) else 0.0)
        case ops.Sub():
            return source == op.inputs[0] and _other_is(graph, op, source, 0.0)
    return False


def _other_is(graph: Graph, op: Op, source: str, value: float) -> bool:
    (other,) = [name for name in op.inputs if name != source] or [source]
    data = graph.tensor(other).data
    return data is not None and bool((data == value).all())


def _joined(graph: Graph, op: Op) -> Rewrite | None:
    producer = graph.producers.get(op.inputs[0])
    if producer is None:
        return None
    match producer, op:
        case ops.Reshape(), ops.Reshape():
            return Rewrite((op,), (replace(op, inputs=producer.inputs),))
        case ops.Transpose(), ops.Transpose():
            permutation = tuple(producer.permutation[axis] for axis in op.permutation)
            return Rewrite((op,), (replace(op, inputs=producer.inputs, permutation=permutation),))
        case ops.Unary(function="clamp"), ops.Unary(function="clamp"):
            both = compose(Clamp(producer.alpha, producer.beta), Clamp(op.alpha, op.beta))
            return Rewrite((op,), (replace(op, inputs=producer.inputs, alpha=both.low, beta=both.high),))
    if isinstance(op, ops.Transpose):
        shape = graph.tensor(op.inputs[0]).shape
        moved = [axis for axis in op.permutation if shape[axis] > 1]
        if moved == sorted(moved):  # only axes of size 1 move
            return Rewrite((op,), (ops.Reshape(name=op.name, inputs=op.inputs, outputs=op.outputs),))
    return None
