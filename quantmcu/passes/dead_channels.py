"""Removes channels that always hold the same value or that nothing uses.

Zero weights make channels constant; a constant channel moves into the bias of the layer that reads it. Where that layer
pads with zeros, only a channel of zeros can: at the border, a constant would be missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from quantmcu.ir import ops
from quantmcu.ir.graph import Graph
from quantmcu.ir.ops import Op
from quantmcu.ir.tensor import Tensor
from quantmcu.passes.channel_use import ChannelUse, Mask, is_selectable
from quantmcu.passes.channel_values import Values, channel_values


def remove_dead_channels(graph: Graph) -> Graph:
    """Removes constant and unused channels from weights, feature maps and constants."""
    values = channel_values(graph)
    keep = ChannelUse(graph, values).keep
    if all(mask.all() for mask in keep.values()):
        return graph
    kept = [_reduced(op, keep, values) for op in graph.ops]
    return graph.with_ops(kept, [_tensor(graph, name, keep) for name in graph.tensors])


def _tensor(graph: Graph, name: str, keep: Mapping[str, Mask]) -> Tensor:
    tensor, mask = graph.tensor(name), keep[name]
    if mask.all():
        return tensor
    producer = graph.producers.get(name)
    data = None if tensor.data is None else np.ascontiguousarray(tensor.data[..., mask])
    last = int(mask.sum())
    assert not isinstance(producer, ops.ArgMax)
    return replace(tensor, shape=(*tensor.shape[:-1], last), data=data)


def _reduced(op: Op, keep: Mapping[str, Mask], values: Mapping[str, Values]) -> Op:
    source, target = keep[op.inputs[0]], keep[op.output]
    match op:
        case ops.Conv2D() | ops.Dense() if is_selectable(op):
            return _layer(op, source, target, values[op.inputs[0]])
        case ops.Conv2D() if not target.all():
            return replace(op, weight=op.weight[target], bias=op.bias[target], groups=int(target.sum()))
        case ops.PRelu():
            return replace(op, slope=op.slope[target])
        case ops.Slice():
            start = int(source[: op.starts[-1]].sum())
            end = start + int(target.sum()) if op.steps[-1] == 1 else op.ends[-1]
            return replace(op, starts=(*op.starts[:-1], start), ends=(*op.ends[:-1], end))
        case ops.Pad():
            before = int(target[: op.before[-1]].sum()) if op.mode == "constant" else op.before[-1]
            after = int(target.sum()) - int(source.sum()) - before
            return replace(op, before=(*op.before[:-1], before), after=(*op.after[:-1], after))
    return op


def _layer(op: ops.Conv2D | ops.Dense, source: Mask, target: Mask, values: Values) -> Op:
    weight = op.weight[target].astype(np.float64)
    dropped = np.where(~source & np.isfinite(values), values, 0.0)
    axes = tuple(range(1, weight.ndim))
    bias = op.bias[target] + (weight * dropped).sum(axis=axes)
    return replace(op, weight=np.ascontiguousarray(op.weight[target][..., source]), bias=bias.astype(np.float32))
