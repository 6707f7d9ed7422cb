"""Folds explicit padding into the windows behind it."""

from __future__ import annotations

from dataclasses import replace

from quantmcu.ir import ops
from quantmcu.ir.graph import Graph
from quantmcu.ir.ops import Op, Pads
from quantmcu.ir.shapes import effective_kernel
from quantmcu.passes.rewrite import Rewrite, apply_rule


def fold_pad(graph: Graph) -> Graph:
    """Folds a Pad of height and width by zeros into the Conv2D or pooling behind it, where that is exact."""
    return apply_rule(graph, _rule)


def _rule(graph: Graph, op: Op) -> Rewrite | None:
    if not isinstance(op, (ops.Conv2D, ops.AveragePool, ops.MaxPool)):
        return None
    pad = graph.producers.get(op.inputs[0])
    if not isinstance(pad, ops.Pad) or pad.mode != "constant" or pad.value != 0 or len(pad.before) != 4:
        return None
    if pad.before[0] or pad.after[0] or pad.before[3] or pad.after[3]:
        return None
    added = (pad.before[1], pad.before[2], pad.after[1], pad.after[2])
    top, left, bottom, right = (a + b for a, b in zip(op.pads, added, strict=True))
    pads: Pads = (top, left, bottom, right)
    if isinstance(op, ops.Conv2D):
        return Rewrite((op,), (replace(op, inputs=pad.inputs, pads=pads),))
    dilations = op.dilations if isinstance(op, ops.MaxPool) else (1, 1)
    spans = effective_kernel(op.kernel, dilations)
    if max(pads[0], pads[2]) >= spans[0] or max(pads[1], pads[3]) >= spans[1]:
        return None  # a window would lie wholly in the padding
    if isinstance(op, ops.AveragePool):
        if any(op.pads) and not op.count_include_pad:
            return None  # the zeros count, the pool's own padding does not
        return Rewrite((op,), (replace(op, inputs=pad.inputs, pads=pads, count_include_pad=True),))
    if not never_negative(graph, pad.inputs[0]):
        return None  # a zero of the padding could win
    return Rewrite((op,), (replace(op, inputs=pad.inputs, pads=pads),))


def never_negative(graph: Graph, tensor: str) -> bool:
    """Whether no value of a tensor can be negative, by its producers."""
    op = graph.producers.get(tensor)
    match op:
        case ops.Unary(function="clamp"):
            return op.alpha >= 0
        case ops.Unary(function="power"):
            return op.alpha % 2 == 0
        case ops.Unary():
            return op.function in ("sigmoid", "hard_sigmoid", "exp", "abs", "sqrt", "softplus")
        case ops.Conv2D() | ops.Dense() | ops.Add() | ops.Sub() | ops.Mul():
            return op.activation is not None and op.activation.low >= 0
        case ops.Softmax():
            return True
        case (
            ops.MaxPool()
            | ops.AveragePool()
            | ops.Concat()
            | ops.Slice()
            | ops.Resize()
            | ops.Reshape()
            | ops.Transpose()
        ):
            return all(never_negative(graph, name) for name in op.inputs)
    return False
