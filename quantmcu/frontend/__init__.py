"""Import of trained networks: ONNX -> graph."""

from __future__ import annotations

from pathlib import Path

import onnx

from quantmcu.frontend.convert import read_network
from quantmcu.frontend.files import read_model
from quantmcu.frontend.importer import Imported, import_model, load_model
from quantmcu.frontend.registry import OperatorSupport, supported_operators
from quantmcu.ir.graph import Graph

__all__ = [
    "Imported",
    "OperatorSupport",
    "import_model",
    "load_onnx",
    "read_model",
    "read_network",
    "supported_operators",
]


def load_onnx(model: Path | onnx.ModelProto) -> Graph:
    """The graph of an ONNX file or model; feature maps are NHWC, nothing is simplified yet.

    Raises:
        UsageError: the file is missing or not an ONNX model.
        QuantMCUError: the model cannot be compiled; a ProblemListError with every node concerned.
    """
    return load_model(model if isinstance(model, onnx.ModelProto) else read_model(Path(model)))
