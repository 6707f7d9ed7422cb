"""Folds the preprocessing of pixels into the input's scale and the first layers: the firmware then takes raw pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quantmcu.data.preprocess import ChannelAffine
from quantmcu.ir import Graph, QParams, ops

PADDING_TOLERANCE = 0.5
"""Largest distance, in codes, of a channel's padding value from the common zero point: 8 bits can't do better."""


@dataclass(frozen=True, eq=False)
class RawInput:
    """A graph whose input code is the pixel.

    Attributes:
        graph: computes the same from the values that `affine` delivers; its input has qparams with code = pixel.
        affine: from pixels to the real values of the graph's input, the same for all channels.
    """

    graph: Graph
    affine: ChannelAffine


def fold_input_affine(graph: Graph, affine: ChannelAffine) -> RawInput | str:
    """The graph for raw pixels instead of real values affine(pixel), where that is exact; else the reason why not.

    With one scale S and one integer zero point Z for all channels, real values S * (pixel - Z) have the pixel as their
    code. What differs from `affine` by channel goes into the weights and biases of the convolutions and dense layers
    that read the input. Zero padding stays right if a zero is (nearly) the same code in every channel.

    Raises:
        ValueError: the graph has several inputs.
    """
    (name,) = graph.inputs
    tensor = graph.tensor(name)
    if (affine.scale <= 0).any():
        return "the preprocessing inverts the pixels"
    zeros = -affine.offset / affine.scale  # the pixel that means 0, by channel
    zero_point = int(np.clip(np.rint((zeros.min() + zeros.max()) / 2), 0, 255))
    scale = float(affine.scale.mean())
    exact = affine.is_uniform and abs(zeros[0] - zero_point) < 1e-3
    readers = graph.consumers[name]
    if not exact:
        reason = _obstacle(graph, name, zeros, zero_point)
        if reason:
            return reason
    ratio, shift = affine.scale / scale, affine.scale * (zero_point - zeros)
    folded = {op.name: op if exact else _folded(op, ratio, shift) for op in readers}
    return RawInput(
        graph.with_ops(
            [folded.get(op.name, op) for op in graph.ops], [replace(tensor, qparams=QParams(8, scale, zero_point))]
        ),
        ChannelAffine(np.full_like(affine.scale, scale), np.full_like(affine.scale, -scale * zero_point)),
    )


def _obstacle(graph: Graph, name: str, zeros: NDArray[np.float64], zero_point: int) -> str:
    """Why the affine map can't be folded into what reads the input; empty when it can."""
    channels = len(zeros)
    if name in graph.outputs:
        return "the input is also an output"
    for op in graph.consumers[name]:
        if not isinstance(op, ops.Conv2D | ops.Dense):
            return f"the input is read by {op.name} ({type(op).__name__}), which has no weights to fold into"
        if isinstance(op, ops.Dense) and op.weight.shape[1] != channels:
            return f"the channels can't be told apart in the weights of {op.name}"
        distance = float(np.abs(zeros - zero_point).max())
        if isinstance(op, ops.Conv2D) and any(op.pads) and distance > PADDING_TOLERANCE:
            values = ", ".join(f"{value:.1f}" for value in zeros)
            return (
                f"{op.name} pads its input with 0, which is pixel value {values} by channel: "
                "no single pixel value can stand for it"
            )
    return ""


def _folded(op: ops.Op, ratio: NDArray[np.float64], shift: NDArray[np.float64]) -> ops.Op:
    """`op` for inputs x' where the old ones are x = ratio[c] * x' + shift[c]."""
    if not isinstance(op, ops.Conv2D | ops.Dense):
        raise ValueError(f"{op.name} has no weights")
    weight = op.weight.astype(np.float64)
    groups = op.groups if isinstance(op, ops.Conv2D) else 1
    by_output = [values.reshape(groups, -1).repeat(len(weight) // groups, axis=0) for values in (ratio, shift)]
    spread = [values.reshape(len(weight), *[1] * (weight.ndim - 2), -1) for values in by_output]
    bias = op.bias + (weight * spread[1]).reshape(len(weight), -1).sum(axis=1)
    return replace(op, weight=(weight * spread[0]).astype(np.float32), bias=bias.astype(np.float32))
