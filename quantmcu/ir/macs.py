"""Multiply-accumulates and parameters of the operators."""

from __future__ import annotations

import math

from quantmcu.ir.graph import Graph
from quantmcu.ir.ops import Conv2D, Dense, Op, PRelu


def op_macs(op: Op, graph: Graph) -> int:
    """Multiply-accumulates of one inference; 0 for operators without weights."""
    if isinstance(op, Conv2D):
        return graph.tensor(op.output).elements * math.prod(op.weight.shape[1:])
    if isinstance(op, Dense):
        return graph.tensor(op.output).elements * int(op.weight.shape[1])
    return 0


def op_parameters(op: Op, graph: Graph) -> int:
    """Trained values that the operator holds or reads as constants."""
    operands = [graph.tensor(name) for name in dict.fromkeys(op.inputs)]
    constants = sum(tensor.elements for tensor in operands if tensor.data is not None)
    if isinstance(op, (Conv2D, Dense)):
        return constants + op.weight.size + op.bias.size
    if isinstance(op, PRelu):
        return constants + op.slope.size
    return constants


def graph_macs(graph: Graph) -> int:
    """Multiply-accumulates of one inference of the whole network."""
    return sum(op_macs(op, graph) for op in graph.ops)


def graph_parameters(graph: Graph) -> int:
    """Parameters of the whole network."""
    return sum(op_parameters(op, graph) for op in graph.ops)
