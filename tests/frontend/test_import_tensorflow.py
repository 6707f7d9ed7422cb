"""Keras and TensorFlow Lite models, where the extra `tensorflow` is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantmcu.export import export_onnx
from quantmcu.frontend import load_onnx, read_network
from quantmcu.ir import ops
from quantmcu.passes import simplify
from tests.onnx_models import run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def network() -> Any:
    """A small Keras network."""
    tensorflow = pytest.importorskip("tensorflow", reason="the extra `tensorflow` is not installed")
    pytest.importorskip("tf2onnx", reason="the extra `tensorflow` is not installed")
    layers = tensorflow.keras.layers
    return tensorflow.keras.Sequential(
        [
            layers.Input((16, 16, 3)),
            layers.Conv2D(8, 3, padding="same", strides=2),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax"),
        ]
    )


@pytest.mark.parametrize("name", ["model.keras", "model.tflite"])
def test_converted_model_computes_the_same(network: Any, tmp_path: Path, name: str) -> None:
    """Without any Transpose, with the NHWC input of the original."""
    path = tmp_path / name
    if path.suffix == ".keras":
        network.save(path)
    else:
        import tensorflow

        path.write_bytes(tensorflow.lite.TFLiteConverter.from_keras_model(network).convert())
    graph = simplify(load_onnx(read_network(path)))
    assert not any(isinstance(op, ops.Transpose) for op in graph.ops)
    image = np.random.default_rng(0).normal(size=(1, 16, 16, 3)).astype(np.float32)
    (name_in,) = graph.inputs
    (found,) = run(export_onnx(graph), {name_in: image}).values()
    np.testing.assert_allclose(found, network(image).numpy(), atol=1e-5)
