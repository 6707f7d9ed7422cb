"""Loads TensorFlow Lite and Keras models by converting them to ONNX with tf2onnx (extra `tensorflow`)."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import onnx

from quantmcu.errors import QuantMCUError, UsageError
from quantmcu.frontend.files import read_model

OPSET = 17
_CONVERTED = {".tflite": "TensorFlow Lite", ".keras": "Keras", ".h5": "Keras"}


def read_network(path: Path) -> onnx.ModelProto:
    """The model in `path` as ONNX: an ONNX file, or a .tflite, .keras or .h5 file that is converted.

    Raises:
        UsageError: the file is missing or of another format, or the converter is not installed.
        QuantMCUError: the conversion failed.
    """
    kind = _CONVERTED.get(path.suffix.lower())
    if kind is None:
        return read_model(path)
    if not path.is_file():
        raise UsageError("there is no such file", str(path), hint="check the path of the model")
    converter = _import("tf2onnx", path, kind)
    try:
        if kind == "TensorFlow Lite":
            model, _ = converter.convert.from_tflite(str(path), opset=OPSET)
        else:
            model, _ = _from_keras(converter, _import("tensorflow", path, kind), path)
    except Exception as error:  # the converter raises whatever its parts raise
        raise QuantMCUError(
            f"tf2onnx cannot convert this {kind} model",
            str(path),
            f"{type(error).__name__}: {error}",
            "convert it to ONNX by another way and give the .onnx file",
        ) from error
    assert isinstance(model, onnx.ModelProto)
    return model


def _import(name: str, path: Path, kind: str) -> Any:
    try:
        module = importlib.import_module(name)
        if name == "tf2onnx":
            importlib.import_module("tf2onnx.convert")
        return module
    except ImportError as error:
        raise UsageError(
            f"reading a {kind} model needs {name}, which is not installed",
            str(path),
            str(error),
            "pip install 'quantmcu[tensorflow]', or convert the model to ONNX yourself",
        ) from error


def _from_keras(converter: Any, tensorflow: Any, path: Path) -> Any:
    """Through a tf.function with a fixed batch, which works with Keras 2 and 3 alike."""
    network = tensorflow.keras.models.load_model(str(path), compile=False)
    signature = [
        tensorflow.TensorSpec([1, *tensor.shape[1:]], tensorflow.float32, name=f"input_{index}")
        for index, tensor in enumerate(network.inputs)
    ]

    @tensorflow.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def run(*inputs: Any) -> Any:
        return network(inputs[0] if len(inputs) == 1 else list(inputs), training=False)

    return converter.convert.from_function(run, input_signature=signature, opset=OPSET)
