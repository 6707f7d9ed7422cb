"""Recognises activation functions that exporters write as a product x * gate(x)."""

from __future__ import annotations

import math

from quantmcu.ir import ops
from quantmcu.ir.graph import Graph
from quantmcu.ir.ops import Op, UnaryFunction
from quantmcu.passes.rewrite import Rewrite, apply_rule


def fuse_gates(graph: Graph) -> Graph:
    """x * sigmoid(x) becomes silu(x), x * hard_sigmoid(x, 1/6, 1/2) becomes hard_swish(x)."""
    return apply_rule(graph, _rule)


def _rule(graph: Graph, op: Op) -> Rewrite | None:
    if not isinstance(op, ops.Mul) or op.activation is not None:
        return None
    for source, gate_name in (op.inputs, op.inputs[::-1]):
        gate = graph.producers.get(gate_name)
        if isinstance(gate, ops.Unary) and gate.inputs == (source,):
            function = _product(gate)
            if function is not None:
                return Rewrite(
                    (op,), (ops.Unary(name=op.name, inputs=(source,), outputs=op.outputs, function=function),)
                )
    return None


def _product(gate: ops.Unary) -> UnaryFunction | None:
    if gate.function == "sigmoid":
        return "silu"
    sixth = math.isclose(gate.alpha, 1 / 6, rel_tol=1e-6)
    return "hard_swish" if gate.function == "hard_sigmoid" and sixth and gate.beta == 0.5 else None
