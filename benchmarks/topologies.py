"""Published networks as ONNX files with random weights: memory and cycles depend on the topology only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class OnnxWriter:
    """Appends layers to an ONNX graph; maps are [1, C, H, W]."""

    def __init__(self, size: int, channels: int = 3, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.input = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, channels, size, size])
        self.last, self.channels = "input", channels

    def _constant(self, name: str, array: np.ndarray) -> str:
        self.weights.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def _node(self, operator: str, inputs: Sequence[str], **attributes: object) -> str:
        name = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [f"{name}_out"], name=name, **attributes))
        self.last = f"{name}_out"
        return self.last

    def conv(self, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1, *, relu6: bool = True) -> None:
        """Convolution with padding that keeps the size at stride 1, bias, and ReLU6."""
        fan_in = self.channels // groups * kernel * kernel
        shape = (channels, self.channels // groups, kernel, kernel)
        weight = self._constant(f"weight_{len(self.nodes)}", self.random.normal(0, (2 / fan_in) ** 0.5, shape))
        bias = self._constant(f"bias_{len(self.nodes)}", self.random.normal(0, 0.1, channels))
        pad = kernel // 2
        window = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
        self._node("Conv", (self.last, weight, bias), **window, group=groups)
        self.channels = channels
        if relu6:
            limits = [f"limit_{len(self.nodes)}_{value}" for value in (0, 6)]
            for name, value in zip(limits, (0, 6), strict=True):
                self._constant(name, np.array(value))
            self._node("Clip", (self.last, *limits))

    def inverted_residual(self, channels: int, expansion: float, kernel: int = 3, stride: int = 1) -> None:
        """MobileNetV2's block: widen, depthwise, narrow; added to its input where the shapes agree."""
        skip, before = self.last, self.channels
        if expansion != 1:
            self.conv(round(before * expansion))
        self.conv(self.channels, kernel, stride, groups=self.channels)
        self.conv(channels, relu6=False)
        if stride == 1 and channels == before:
            self._node("Add", (skip, self.last))

    def classifier(self, classes: int) -> None:
        """Global average pooling and a dense layer."""
        self._node("GlobalAveragePool", (self.last,))
        self._node("Flatten", (self.last,))
        weight = self._constant("dense_weight", self.random.normal(0, 0.05, (classes, self.channels)))
        bias = self._constant("dense_bias", np.zeros(classes))
        self._node("Gemm", (self.last, weight, bias), transB=1)

    def save(self, path: Path, name: str) -> Path:
        """Writes the model, checked."""
        output = helper.make_tensor_value_info(self.last, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, name, [self.input], [output], self.weights)
        model = onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]))
        onnx.checker.check_model(model)
        onnx.save(model, str(path))
        return path


_MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, channels, repeats, stride (Sandler et al., MobileNetV2, table 2)."""


def to_multiple_of_8(channels: float) -> int:
    """The rounding of the reference implementations: to the nearest multiple of 8, at least 8, never 10 % down."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def mobilenet_v2(
    path: Path, width: float, size: int, classes: int = 1000, rounding: Callable[[float], int] = to_multiple_of_8
) -> Path:
    """MobileNetV2 with `width`; `rounding=int` cuts channels off without making them multiples of 8."""
    net = OnnxWriter(size)
    net.conv(rounding(32 * width), 3, 2)
    for expansion, channels, repeats, stride in _MOBILENET_V2:
        for index in range(repeats):
            net.inverted_residual(rounding(channels * width), expansion, stride=stride if index == 0 else 1)
    net.conv(max(1280, rounding(1280 * width)))
    net.classifier(classes)
    return net.save(path, path.stem)


@dataclass(frozen=True)
class MCUNet:
    """A network of the MCUNet family: a 3x3 convolution, then inverted residuals.

    Attributes:
        size: of the input image.
        classes: of the classifier.
        stages: for each stage its channels, stride, and the (kernel, expansion) of its blocks.
    """

    size: int
    classes: int
    stages: tuple[tuple[int, int, tuple[tuple[int, int], ...]], ...]


# The block tables follow a public re-implementation of MCUNet's searched networks. The first expansion is not the one
# given there (4 and 3): with 6 and 4 the largest pair of maps takes the published 96,000 = (40^2 + 20^2) * 48 and
# 309,760 = (88^2 + 44^2) * 32 bytes.
MCUNET_VWW = MCUNet(
    80,
    2,
    (
        (8, 1, ((3, 1),)),
        (16, 2, ((3, 6), (3, 3))),
        (24, 2, ((7, 3), (3, 5))),
        (40, 2, ((3, 5), (7, 4))),
        (48, 1, ((5, 4), (3, 3), (3, 4))),
        (96, 2, ((7, 5), (5, 4), (5, 4))),
        (160, 1, ((3, 6),)),
    ),
)
MCUNET_320KB = MCUNet(
    176,
    1000,
    (
        (8, 1, ((3, 1),)),
        (16, 2, ((7, 4), (3, 5), (7, 5), (5, 4))),
        (24, 2, ((5, 5), (5, 5), (5, 5))),
        (40, 2, ((3, 5), (7, 6), (5, 4))),
        (48, 1, ((5, 5), (7, 5), (3, 5))),
        (96, 2, ((3, 6), (7, 5), (3, 4))),
        (160, 1, ((7, 5),)),
    ),
)


def mcunet(path: Path, network: MCUNet) -> Path:
    """A network of the MCUNet family."""
    net = OnnxWriter(network.size)
    net.conv(16, 3, 2)
    for channels, stride, blocks in network.stages:
        for index, (kernel, expansion) in enumerate(blocks):
            net.inverted_residual(channels, expansion, kernel, stride if index == 0 else 1)
    net.classifier(network.classes)
    return net.save(path, path.stem)
