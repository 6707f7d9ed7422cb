"""Equalization of channels: scales move from the channels of an activation into the weights on either side of it.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019), section 4.1, with the
ranges of the channels from calibration data: one scale for all channels of an activation then wastes no codes on the
small ones. In real arithmetic the network stays the same where activations are positively homogeneous (none, ReLU).
Where they have an upper bound (ReLU6) that bound becomes one of the scaled activation: a channel is clipped beyond
`_MARGIN` times the largest value that calibration has seen in it, and never above the original bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from quantmcu.data import Dataset
from quantmcu.ir import Graph, ops
from quantmcu.quant.calibrate import observed_tensors, run_float

Scales = NDArray[np.float64]
Layer = ops.Conv2D | ops.Dense

_MARGIN = 1.25
_SMALLEST = 0.02
"""Channels are scaled up at most by the inverse: what calibration saw of a nearly silent channel says little of it."""


def channel_extremes(graph: Graph, dataset: Dataset, *, limit: int | None = None) -> Mapping[str, Scales]:
    """Largest magnitude of each channel (last axis) of each activation, over at most `limit` samples."""
    names = observed_tensors(graph)
    found: dict[str, NDArray[np.float32]] = {}
    for activations in run_float(graph, dataset.take(limit), names):
        for name, values in activations.items():
            others = tuple(range(values.ndim - 1))
            largest = np.maximum(values.max(axis=others), -values.min(axis=others))
            found[name] = np.maximum(found[name], largest) if name in found else largest
    # calibration reports activations that are not finite, with the sample
    return {name: np.nan_to_num(np.atleast_1d(largest).astype(np.float64)) for name, largest in found.items()}


def equalize(graph: Graph, extremes: Mapping[str, Scales]) -> Graph:
    """`graph` with the channels of its activations scaled such that they use one scale well.

    Args:
        graph: float.
        extremes: `channel_extremes` of it.
    """
    scales: dict[str, Scales] = {}
    bounds: dict[str, float] = {}
    for group in _scalable_groups(graph):
        if not _is_free(graph, group):
            continue
        sizes = [np.minimum(extremes[name] * _MARGIN, _upper_bound(graph, name) or np.inf) for name in group]
        largest = [max(float(size.max()), float(np.finfo(np.float32).tiny)) for size in sizes]
        shares = np.max([size / top for size, top in zip(sizes, largest, strict=True)], axis=0)
        shares = np.maximum(shares, _SMALLEST)
        for name, top in zip(group, largest, strict=True):
            scales[name], bounds[name] = shares, top
    return graph.with_ops(_scaled(op, scales, bounds) for op in graph.ops)


def _is_free(graph: Graph, group: tuple[str, ...]) -> bool:
    """Whether only depthwise convolutions read the activations: their weights have a scale for each channel.

    Other layers have one for each of their outputs. What the activation gains there, weights lose: more than the gain
    with weights of 4 bits.
    """
    readers = [op for name in group for op in graph.consumers[name] if isinstance(op, Layer)]
    return all(isinstance(op, ops.Conv2D) and op.is_depthwise for op in readers)


def _scalable_groups(graph: Graph) -> Iterator[tuple[str, ...]]:
    """Activations that have to have the same scales by channel, and may have any."""
    parent = {name: name for name in graph.tensors}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    fixed = {*graph.inputs, *graph.outputs} | {n for n, t in graph.tensors.items() if t.data is not None or t.qparams}
    for op in graph.ops:
        if isinstance(op, Layer):
            if _upper_bound(graph, op.output) is None:
                fixed.add(op.output)
        elif _keeps_channels(graph, op):
            for name in op.inputs:
                parent[root(name)] = root(op.output)
        else:
            fixed |= {*op.inputs, *op.outputs}
    groups: dict[str, list[str]] = {}
    for name in graph.tensors:
        groups.setdefault(root(name), []).append(name)
    yield from (tuple(group) for group in groups.values() if not fixed & set(group))


def _keeps_channels(graph: Graph, op: ops.Op) -> bool:
    """Whether scaling the channels of all inputs of `op` scales those of its output likewise."""
    if isinstance(op, ops.MaxPool | ops.AveragePool):
        return True
    if isinstance(op, ops.Add):
        alike = len({graph.tensor(name).shape for name in (*op.inputs, op.output)}) == 1
        return alike and op.activation is None
    if isinstance(op, ops.Reshape):
        shapes = [graph.tensor(name).shape for name in (op.inputs[0], op.output)]
        return all(int(np.prod(shape)) == shape[-1] for shape in shapes)
    return False


def _upper_bound(graph: Graph, name: str) -> float | None:
    """Of what the operator's activation function lets through, infinity without one; None where it can't be scaled."""
    activation: ops.Clamp | None = getattr(graph.producers[name], "activation", None)
    if activation is None:
        return np.inf
    return activation.high if activation.low == 0 or activation == ops.Clamp() else None


def _scaled(op: ops.Op, scales: Mapping[str, Scales], bounds: Mapping[str, float]) -> ops.Op:
    """`op` between scaled activations: what it reads and writes is divided by `scales`."""
    if not isinstance(op, Layer):
        return op
    weight, bias = op.weight.astype(np.float64), op.bias.astype(np.float64)
    activation = op.activation
    if op.inputs[0] in scales:
        groups = op.groups if isinstance(op, ops.Conv2D) else 1
        read = scales[op.inputs[0]].reshape(groups, -1).repeat(len(weight) // groups, axis=0)
        weight = weight * read.reshape(len(weight), *[1] * (weight.ndim - 2), -1)
    if op.output in scales:
        written = scales[op.output]
        weight, bias = weight / written.reshape(-1, *[1] * (weight.ndim - 1)), bias / written
        if activation is not None and np.isfinite(activation.high):
            activation = replace(activation, high=bounds[op.output])
    return replace(op, weight=weight.astype(np.float32), bias=bias.astype(np.float32), activation=activation)
