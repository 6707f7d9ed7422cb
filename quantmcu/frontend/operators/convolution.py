"""Convolution and batch normalization."""

from __future__ import annotations

import numpy as np

from quantmcu.frontend.builder import Builder
from quantmcu.frontend.node import Node
from quantmcu.frontend.operators.windows import WINDOW_ATTRIBUTES, read_window
from quantmcu.frontend.registry import UnsupportedError, operator
from quantmcu.ir import ops


@operator(
    "Conv",
    attributes=(*WINDOW_ATTRIBUTES, "group"),
    limits="1-D and 2-D; weights and bias constant",
)
def conv(node: Node, builder: Builder) -> None:
    """Conv -> Conv2D; one-dimensional data get a height of 1."""
    x = node.activation()
    weight = node.floats(1, "weight")
    if weight.ndim not in (3, 4):
        raise UnsupportedError(f"{weight.ndim - 2}-D convolution is not supported", "use 1-D or 2-D convolutions")
    if len(builder.shape(x)) != weight.ndim:
        raise UnsupportedError(
            f"weights {list(weight.shape)} do not fit an input of {list(builder.shape(x))}", "export the model again"
        )
    tensor = builder.nhwc(node, x)
    _, height, width, _ = builder.tensors[tensor].shape
    window = read_window(node, weight.shape[2:], (height, width))
    planes = weight[:, :, None, :] if weight.ndim == 3 else weight
    bias = node.floats(2, "bias") if node.has(2) else np.zeros(weight.shape[0], np.float32)
    result = builder.emit(
        ops.Conv2D,
        node,
        [tensor],
        output=0 if weight.ndim == 4 else None,
        weight=np.ascontiguousarray(planes.transpose(0, 2, 3, 1)),
        bias=bias,
        strides=window.strides,
        dilations=window.dilations,
        pads=window.pads,
        groups=node.attribute("group", 1),
    )
    builder.set(node, builder.from_nhwc(node, result, weight.ndim))


@operator(
    "BatchNormalization",
    attributes=("epsilon", "momentum", "training_mode"),
    limits="inference only; scale, bias, mean and variance constant; folded into a neighbouring layer",
)
def batch_normalization(node: Node, builder: Builder) -> None:
    """BatchNormalization -> Mul and Add by channel, which the passes fold into a layer with weights."""
    node.require("training_mode", 0, (0,), "export the model in inference mode (model.eval())")
    x = node.activation()
    scale, bias, mean, variance = (
        node.floats(i, what) for i, what in enumerate(("scale", "bias", "mean", "variance"), start=1)
    )
    if (variance + node.attribute("epsilon", 1e-5) <= 0).any():
        raise UnsupportedError("the variance + epsilon is not positive", "train or export the model again", "input 4")
    factor = scale / np.sqrt(variance.astype(np.float64) + node.attribute("epsilon", 1e-5))
    shift = bias - mean * factor
    rank = len(builder.shape(x))
    if rank < 2:
        raise UnsupportedError(
            f"needs an axis of channels, not {list(builder.shape(x))}", "export with a batch dimension"
        )
    view = builder.with_last(node, x, 1)
    channels = (1,) * (rank - 1) + (-1,)
    constants = [
        builder.constant(values.astype(np.float32).reshape(channels), f"{node.name}_{name}")
        for values, name in ((factor, "scale"), (shift, "shift"))
    ]
    product = builder.emit(ops.Mul, node, [view.tensor, constants[0]], output=None, suffix="_scale")
    result = builder.emit(ops.Add, node, [product, constants[1]])
    builder.set(node, type(view)(result, view.permutation))
