"""MobileNetV2 with random weights: for its shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

# Expansion, output channels at width 1, repetitions, stride of the first (Sandler et al. 2018, table 2).
BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def write_mobilenetv2(path: Path, width: float, size: int, classes: int = 1000) -> None:
    """Writes MobileNetV2 of `width` for images of 3 x `size` x `size` as ONNX, weights random but always the same."""
    builder = _Builder()
    last = builder.convolution("input", 3, _channels(32, width), 3, stride=2)
    channels = _channels(32, width)
    for expansion, full, repetitions, stride in BLOCKS:
        for index in range(repetitions):
            last = builder.block(last, channels, expansion, _channels(full, width), stride if index == 0 else 1)
            channels = _channels(full, width)
    head = max(1280, _channels(1280, width))
    last = builder.convolution(last, channels, head, 1)
    last = builder.node("GlobalAveragePool", [last])
    last = builder.node("Flatten", [last])
    last = builder.node("Gemm", [last, builder.weight((classes, head), head), builder.weight((classes,), 1)], transB=1)
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, size, size])]
    outputs = [helper.make_tensor_value_info(last, TensorProto.FLOAT, [1, classes])]
    graph = helper.make_graph(builder.nodes, "mobilenetv2", inputs, outputs, builder.constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


def _channels(full: int, width: float) -> int:
    """Channels at `width`: multiples of 8, at most 10 % fewer than asked for."""
    rounded = max(8, int(full * width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * full * width else rounded


class _Builder:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(0)

    def node(self, operator: str, inputs: list[str], **attributes: Any) -> str:
        name = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, values: NDArray[np.float32]) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def weight(self, shape: tuple[int, ...], inputs: int) -> str:
        values = self._random.normal(0, (2 / inputs) ** 0.5, shape)
        return self.constant(values.astype(np.float32))

    def convolution(
        self,
        source: str,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        relu6: bool = True,
    ) -> str:
        per_group = inputs // groups
        weight = self.weight((outputs, per_group, kernel, kernel), per_group * kernel * kernel)
        pad = kernel // 2
        result = self.node(
            "Conv", [source, weight, self.weight((outputs,), 100)],
            kernel_shape=[kernel, kernel], strides=[stride, stride], pads=[pad] * 4, group=groups,
        )  # fmt: skip
        if not relu6:
            return result
        return self.node(
            "Clip", [result, self.constant(np.array(0, np.float32)), self.constant(np.array(6, np.float32))]
        )

    def block(self, source: str, inputs: int, expansion: int, outputs: int, stride: int) -> str:
        """An inverted residual."""
        hidden, last = inputs * expansion, source
        if expansion > 1:
            last = self.convolution(last, inputs, hidden, 1)
        last = self.convolution(last, hidden, hidden, 3, stride=stride, groups=hidden)
        last = self.convolution(last, hidden, outputs, 1, relu6=False)
        return self.node("Add", [source, last]) if stride == 1 and inputs == outputs else last
