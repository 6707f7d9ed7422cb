"""ONNX Runtime as the engine of float graphs while a network is quantized.

A session uses one thread: samples run side by side (quantmcu/parallel.py), which scales better than the layers of one
sample do, and no thread burns time waiting for others.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import onnxruntime

from quantmcu.export import export_onnx
from quantmcu.ir import Graph


def quantizing_session(graph: Graph) -> onnxruntime.InferenceSession:
    """A session of a graph; where tensors have quantization parameters it rounds to their codes."""
    return model_session(export_onnx(graph, qdq=True))


def float_session(graph: Graph, names: Sequence[str]) -> onnxruntime.InferenceSession:
    """A session of the float graph that can return the tensors `names`."""
    model = export_onnx(graph, qdq=False)
    present = {output.name for output in model.graph.output} | set(graph.inputs)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
    return model_session(model)


def model_session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """A session of an exported model."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: that a tensor is both an output and used inside is no problem
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
