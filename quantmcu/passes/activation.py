"""Fuses Relu and Clip into the operator before them."""

from __future__ import annotations

from dataclasses import replace

from quantmcu.ir import ops
from quantmcu.ir.graph import Graph
from quantmcu.ir.ops import Clamp, Op
from quantmcu.ir.tensor import Tensor
from quantmcu.passes.identities import compose
from quantmcu.passes.rewrite import Rewrite, apply_rule, fresh_tensor, private_producer

_FUSING = (ops.Conv2D, ops.Dense, ops.Add, ops.Sub, ops.Mul)


def fuse_activation(graph: Graph) -> Graph:
    """Makes a clamp the activation of the layer before it; a MaxPool between them changes places with the clamp."""
    return apply_rule(graph, _rule)


def _rule(graph: Graph, op: Op) -> Rewrite | None:
    if not isinstance(op, ops.Unary) or op.function != "clamp":
        return None
    producer = private_producer(graph, op.inputs[0])
    clamp = Clamp(op.alpha, op.beta)
    if isinstance(producer, _FUSING):
        joined = clamp if producer.activation is None else compose(producer.activation, clamp)
        return Rewrite((producer, op), (replace(producer, outputs=op.outputs, activation=joined),))
    if isinstance(producer, ops.MaxPool) and isinstance(private_producer(graph, producer.inputs[0]), _FUSING):
        clamped = Tensor(fresh_tensor(graph, f"{producer.inputs[0]}_clamped"), graph.tensor(producer.inputs[0]).shape)
        return Rewrite(
            (producer, op),
            (
                replace(op, inputs=producer.inputs, outputs=(clamped.name,)),
                replace(producer, inputs=(clamped.name,), outputs=op.outputs),
            ),
            (clamped,),
        )
    return None
