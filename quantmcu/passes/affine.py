"""Batch normalization and other scaling by channel, folded into the layers beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quantmcu.ir import ops
from quantmcu.ir.graph import Graph
from quantmcu.ir.ops import Op
from quantmcu.passes.rewrite import Rewrite, apply_rule, private_producer

Doubles = NDArray[np.float64]
Layer = ops.Conv2D | ops.Dense


@dataclass(frozen=True, eq=False)
class Affine:
    """An operator that computes source * scale[channel] + shift[channel] over the last axis."""

    source: str
    scale: Doubles
    shift: Doubles


def fold_affine(graph: Graph) -> Graph:
    """Folds Mul, Add and Sub by constants per channel into the Conv2D or Dense before them, else into those behind."""
    return apply_rule(apply_rule(graph, _into_producer), _into_consumers)


def affine_to_depthwise(graph: Graph) -> Graph:
    """Makes scaling by channel that is left over a 1x1 depthwise Conv2D, whose weights and bias are exact."""
    return apply_rule(graph, lambda graph, op: _into_producer(graph, op) or _to_depthwise(graph, op))


def affine_of(graph: Graph, op: Op) -> Affine | None:
    """`op` as an affine function of one activation per channel, if it is one."""
    if not isinstance(op, (ops.Add, ops.Sub, ops.Mul)):
        return None
    constants = [graph.tensor(name).data for name in op.inputs]
    if (constants[0] is None) == (constants[1] is None):
        return None
    position = 0 if constants[1] is not None else 1
    values = constants[1 - position]
    source = graph.tensor(op.inputs[position])
    assert values is not None
    if source.shape != graph.tensor(op.output).shape or values.size not in (1, values.shape[-1] if values.ndim else 1):
        return None
    channels = source.shape[-1]
    vector = np.broadcast_to(values.reshape(-1).astype(np.float64), (channels,))
    one, zero = np.ones(channels), np.zeros(channels)
    if isinstance(op, ops.Mul):
        return Affine(source.name, vector, zero)
    if isinstance(op, ops.Add):
        return Affine(source.name, one, vector)
    return Affine(source.name, one, -vector) if position == 0 else Affine(source.name, -one, vector)


def _into_producer(graph: Graph, op: Op) -> Rewrite | None:
    affine = affine_of(graph, op)
    layer = None if affine is None else private_producer(graph, affine.source)
    if affine is None or not isinstance(layer, (ops.Conv2D, ops.Dense)) or layer.activation is not None:
        return None
    scale = affine.scale.reshape((-1,) + (1,) * (layer.weight.ndim - 1))
    folded = replace(
        layer,
        outputs=op.outputs,
        weight=(layer.weight * scale).astype(np.float32),
        bias=(layer.bias * affine.scale + affine.shift).astype(np.float32),
        activation=op.activation,  # type: ignore[attr-defined]  # affine_of accepts only operators that have one
    )
    return Rewrite((layer, op), (folded,))


def _into_consumers(graph: Graph, op: Op) -> Rewrite | None:
    affine = affine_of(graph, op)
    if affine is None or op.output in graph.outputs or op.activation is not None:  # type: ignore[attr-defined]
        return None
    layers = [layer for layer in graph.consumers[op.output] if isinstance(layer, (ops.Conv2D, ops.Dense))]
    if not layers or len(layers) != len(graph.consumers[op.output]):
        return None
    if affine.shift.any() and any(isinstance(layer, ops.Conv2D) and any(layer.pads) for layer in layers):
        return None  # the border is padded with 0, not with the shift
    return Rewrite((op, *layers), tuple(_absorbed(layer, affine) for layer in layers))


def _absorbed(layer: Layer, affine: Affine) -> Layer:
    channels = input_channels(layer)
    scale, shift = affine.scale[channels], affine.shift[channels]
    taps: tuple[int, ...] = ()
    if isinstance(layer, ops.Conv2D):
        scale, shift, taps = scale[:, None, None, :], shift[:, None, None, :], (1, 2, 3)
    return replace(
        layer,
        inputs=(affine.source,),
        weight=(layer.weight * scale).astype(np.float32),
        bias=(layer.bias + (layer.weight * shift).sum(axis=taps or 1)).astype(np.float32),
    )


def input_channels(layer: Layer) -> NDArray[np.int64]:
    """The input channel that weight [o, ..., i] multiplies: int64 [o, i]."""
    outputs, inputs = layer.weight.shape[0], layer.weight.shape[-1]
    groups = layer.groups if isinstance(layer, ops.Conv2D) else 1
    group = np.arange(outputs) // (outputs // groups)
    channels: NDArray[np.int64] = group[:, None] * inputs + np.arange(inputs)[None, :]
    return channels


def _to_depthwise(graph: Graph, op: Op) -> Rewrite | None:
    affine = affine_of(graph, op)
    if affine is None or len(graph.tensor(op.output).shape) != 4:
        return None
    channels = len(affine.scale)
    layer = ops.Conv2D(
        name=op.name,
        inputs=(affine.source,),
        outputs=op.outputs,
        weight=affine.scale.astype(np.float32).reshape(channels, 1, 1, 1),
        bias=affine.shift.astype(np.float32),
        groups=channels,
        activation=op.activation,  # type: ignore[attr-defined]
    )
    return Rewrite((op,), (layer,))
