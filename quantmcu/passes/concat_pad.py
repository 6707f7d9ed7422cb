"""Joining a tensor with constants of one value is padding."""

from __future__ import annotations

from quantmcu.ir import ops
from quantmcu.ir.graph import Graph
from quantmcu.ir.ops import Op
from quantmcu.passes.rewrite import Rewrite, apply_rule


def concat_to_pad(graph: Graph) -> Graph:
    """Replaces a Concat of one activation with constants that all hold one value by a Pad."""
    return apply_rule(graph, _rule)


def _rule(graph: Graph, op: Op) -> Rewrite | None:
    if not isinstance(op, ops.Concat):
        return None
    tensors = [graph.tensor(name) for name in op.inputs]
    values = {float(value) for t in tensors if t.data is not None for value in (t.data.min(), t.data.max())}
    variable = [index for index, tensor in enumerate(tensors) if tensor.data is None]
    if len(variable) != 1 or len(values) != 1:
        return None
    sizes = [tensor.shape[op.axis] for tensor in tensors]
    rank = len(tensors[0].shape)
    before, after = [0] * rank, [0] * rank
    before[op.axis], after[op.axis] = sum(sizes[: variable[0]]), sum(sizes[variable[0] + 1 :])
    pad = ops.Pad(
        name=op.name,
        inputs=(op.inputs[variable[0]],),
        outputs=op.outputs,
        before=tuple(before),
        after=tuple(after),
        value=values.pop(),
    )
    return Rewrite((op,), (pad,))
