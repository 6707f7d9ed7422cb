"""Two small networks of images of 3x12x12 for tests of quantization."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from quantmcu.data import Dataset
from quantmcu.ir import Graph, Tensor, ops

LAYERS = ("stem", "grouped", "expand", "scores")
RELU = ops.Clamp(low=0.0)


class _Layers:
    """Convolutions of random weights; `gain`: their variance times the fan-in."""

    def __init__(self, gain: float) -> None:
        self.random = np.random.default_rng(0)
        self.gain = gain

    def conv(self, name: str, source: str, output: str, shape: tuple[int, ...], **more: Any) -> ops.Conv2D:
        weight = (self.random.standard_normal(shape) * np.sqrt(self.gain / np.prod(shape[1:]))).astype(np.float32)
        bias = (self.random.standard_normal(shape[0]) * 0.1).astype(np.float32)
        return ops.Conv2D(name=name, inputs=(source,), outputs=(output,), weight=weight, bias=bias, **more)

    def dense(self, name: str, source: str, output: str, shape: tuple[int, int]) -> ops.Dense:
        weight = self.random.standard_normal(shape).astype(np.float32)
        bias = np.zeros(shape[0], np.float32)
        return ops.Dense(name=name, inputs=(source,), outputs=(output,), weight=weight, bias=bias)


def _graph(operators: tuple[ops.Op, ...], shapes: dict[str, tuple[int, ...]]) -> Graph:
    tensors = {name: Tensor(name, shape) for name, shape in shapes.items()}
    return Graph("small", ("x",), ("y",), operators, tensors, ((0, 2, 3, 1),), (None,))


def grouped_network() -> Graph:
    """A dense 3x3, a grouped and a pointwise convolution, and a classifier: the LAYERS."""
    layers = _Layers(1.0)
    scores = layers.dense("scores", "e", "y", (7, 24))
    operators = (
        layers.conv("stem", "x", "a", (16, 3, 3, 3), pads=(1, 0, 1, 2), strides=(2, 1), activation=RELU),
        layers.conv("grouped", "a", "b", (8, 1, 3, 4), pads=(0, 1, 0, 1), groups=4, activation=RELU),
        layers.conv("expand", "b", "c", (24, 1, 1, 8), activation=RELU),
        ops.AveragePool(name="mean", inputs=("c",), outputs=("d",), kernel=(6, 12)),
        ops.Reshape(name="flat", inputs=("d",), outputs=("e",)),
        scores,
    )
    shapes = {"x": (1, 12, 12, 3), "a": (1, 6, 12, 16), "b": (1, 6, 12, 8), "c": (1, 6, 12, 24)}
    return _graph(operators, shapes | {"d": (1, 1, 1, 24), "e": (1, 24), "y": (1, 7)})


def residual_network() -> Graph:
    """Depthwise and pointwise convolutions, a residual, pooling and a classifier; NCHW outside, NHWC inside."""
    layers = _Layers(2.0)
    scores = layers.dense("scores", "f", "y", (5, 8))
    operators = (
        layers.conv("stem", "x", "a", (8, 3, 3, 3), pads=(1, 1, 1, 1), activation=RELU),
        layers.conv("depthwise", "a", "b", (8, 3, 3, 1), pads=(1, 1, 1, 1), groups=8, activation=RELU),
        layers.conv("project", "b", "c", (8, 1, 1, 8)),
        ops.Add(name="add", inputs=("a", "c"), outputs=("d",)),
        ops.AveragePool(name="mean", inputs=("d",), outputs=("e",), kernel=(12, 12)),
        ops.Reshape(name="flat", inputs=("e",), outputs=("f",)),
        scores,
    )
    shapes = {"x": (1, 12, 12, 3), "e": (1, 1, 1, 8), "f": (1, 8), "y": (1, 5)}
    return _graph(operators, shapes | dict.fromkeys("abcd", (1, 12, 12, 8)))


def outputs_of(model: onnx.ModelProto | Path, dataset: Dataset) -> list[list[np.ndarray]]:
    """What ONNX Runtime computes for each sample."""
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    return [[np.asarray(output) for output in session.run(None, dict(sample.inputs))] for sample in dataset]
