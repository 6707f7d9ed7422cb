"""Which channels always hold the same value: forward propagation of constants by channel (the last axis)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from quantmcu.ir import ops
from quantmcu.ir.graph import Graph
from quantmcu.ir.ops import Op
from quantmcu.passes.affine import input_channels

Values = NDArray[np.float64]
"""One value per channel: the value that every element of the channel has, NaN where that is not known."""

_FIXED_POINTS = (
    "leaky_relu", "hard_swish", "abs", "neg", "tanh", "elu", "gelu", "silu", "sqrt", "erf", "selu", "celu", "softsign",
    "mish", "power",
)  # fmt: skip
"""Functions that map 0 to 0."""


def channel_values(graph: Graph) -> dict[str, Values]:
    """The values of all tensors' channels that are the same for every input."""
    known: dict[str, Values] = {}
    for name, tensor in graph.tensors.items():
        channels = tensor.shape[-1] if tensor.shape else 1
        known[name] = np.full(channels, np.nan)
        if tensor.data is not None:
            rows = tensor.data.reshape(-1, channels)
            known[name] = np.where((rows == rows[0]).all(axis=0), rows[0], np.nan)
    for op in graph.ops:
        values = _op_values(op, graph, known)
        if values is not None:
            activation = getattr(op, "activation", None)
            known[op.output] = values if activation is None else np.clip(values, activation.low, activation.high)
    return known


def folds_into_bias(op: ops.Conv2D | ops.Dense, values: Values) -> NDArray[np.bool_]:
    """Input channels of `op` that contribute a constant: those that are 0; others only without padding (by 0)."""
    padded = isinstance(op, ops.Conv2D) and any(op.pads)
    return np.asarray((values == 0) | (np.isfinite(values) & (not padded)))


def _op_values(op: Op, graph: Graph, known: Mapping[str, Values]) -> Values | None:
    inputs = [known[name] for name in op.inputs]
    match op:
        case ops.Conv2D() | ops.Dense():
            return _layer(op, inputs[0])
        case ops.Add() | ops.Sub() | ops.Mul():
            return _binary(op, *np.broadcast_arrays(*inputs))
        case ops.Unary():
            return _unary(op, inputs[0])
        case ops.PRelu():
            return np.where(inputs[0] >= 0, inputs[0], inputs[0] * op.slope)
        case ops.AveragePool():
            padded = op.count_include_pad and any(op.pads)
            return np.where(inputs[0] == 0, 0.0, np.nan) if padded else inputs[0]
        case ops.MaxPool() | ops.Resize():
            return inputs[0]
        case ops.Concat():
            if op.axis == len(graph.tensor(op.output).shape) - 1:
                return np.concatenate(inputs)
            return np.where([len(set(column)) == 1 for column in zip(*inputs, strict=True)], inputs[0], np.nan)
        case ops.Slice():
            return inputs[0][op.starts[-1] : op.ends[-1] : op.steps[-1]]
        case ops.Pad():
            return _pad(op, inputs[0])
        case ops.Reshape():
            return _reshape(inputs[0], graph.tensor(op.output).shape)
        case ops.Transpose():
            return inputs[0] if op.permutation[-1] == len(op.permutation) - 1 else None
    return None


def _layer(op: ops.Conv2D | ops.Dense, values: Values) -> Values:
    """An output channel is constant when all its nonzero weights meet channels that fold into the bias."""
    channels = input_channels(op)
    taps = op.weight.reshape(len(op.weight), -1, op.weight.shape[-1]).astype(np.float64)
    used = (taps != 0).any(axis=1)
    folds = folds_into_bias(op, values)
    fixed = np.where(folds, values, 0.0)[channels]
    result = op.bias + (taps.sum(axis=1) * fixed).sum(axis=1)
    return np.where((used & ~folds[channels]).any(axis=1), np.nan, result)


def _binary(op: Op, a: Values, b: Values) -> Values:
    if isinstance(op, ops.Mul):
        return np.where((a == 0) | (b == 0), 0.0, a * b)
    return a + b if isinstance(op, ops.Add) else a - b


def _unary(op: ops.Unary, values: Values) -> Values:
    if op.function == "clamp":
        return np.clip(values, op.alpha, op.beta)
    if op.function in _FIXED_POINTS:
        return np.where(values == 0, 0.0, np.nan)
    return np.full_like(values, np.nan)


def _pad(op: ops.Pad, values: Values) -> Values:
    fill = op.value if op.mode == "constant" else np.nan
    if op.mode == "constant" and any((*op.before[:-1], *op.after[:-1])):
        values = np.where(values == op.value, values, np.nan)
    if op.mode == "constant":
        return np.pad(values, (op.before[-1], op.after[-1]), constant_values=fill)
    return np.pad(values, (op.before[-1], op.after[-1]), mode="reflect" if op.mode == "reflect" else "edge")


def _reshape(values: Values, shape: tuple[int, ...]) -> Values | None:
    """Flattening repeats the channels; any other change of the last axis mixes them."""
    repeats, rest = divmod(shape[-1] if shape else 1, len(values))
    return np.tile(values, repeats) if repeats and not rest else None
