"""Builds small ONNX models and compares what ONNX Runtime computes before and after our import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from quantmcu.export import export_onnx
from quantmcu.frontend import load_onnx
from quantmcu.ir import Graph
from quantmcu.ir.verify import verify
from quantmcu.passes import simplify

NEWEST_OF_RUNTIME = 23
"""An opset that every supported ONNX Runtime knows."""

Arrays = Mapping[str, NDArray[Any]]


def make_model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Sequence[str],
    constants: Arrays | None = None,
    opset: int = 17,
) -> onnx.ModelProto:
    """A model with float32 inputs; the shapes of the outputs are left to ONNX."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in inputs.items()],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(values, name) for name, values in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    inferred = onnx.shape_inference.infer_shapes(model)
    return inferred


def run(model: onnx.ModelProto, feeds: Arrays) -> dict[str, NDArray[Any]]:
    """What ONNX Runtime computes."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def random_feeds(model: onnx.ModelProto, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Normally distributed inputs; open dimensions are 1."""
    rng = np.random.default_rng(seed)
    constants = {tensor.name for tensor in model.graph.initializer}
    return {
        value.name: rng.normal(size=[dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]).astype(np.float32)
        for value in model.graph.input
        if value.name not in constants
    }


def assert_same_outputs(reference: onnx.ModelProto, graph: Graph, tolerance: float = 1e-4, seed: int = 0) -> None:
    """The exported graph computes what the model computes, within `tolerance` of the largest value."""
    verify(graph)
    exported = export_onnx(graph)
    onnx.checker.check_model(exported)
    feeds = random_feeds(reference, seed)
    expected, found = run(reference, feeds), run(exported, feeds)
    assert list(expected) == list(found)
    for name, values in expected.items():
        assert found[name].shape == values.shape, name
        scale = max(float(np.abs(values).max(initial=0.0)), 1e-3)
        np.testing.assert_allclose(found[name], values, rtol=0, atol=tolerance * scale, err_msg=name)


def check_import(model: onnx.ModelProto, tolerance: float = 1e-4) -> Graph:
    """Imports the model, compares it before and after simplification, and returns the simplified graph."""
    imported = load_onnx(model)
    assert_same_outputs(model, imported, tolerance)
    simplified = simplify(imported)
    assert_same_outputs(model, simplified, tolerance)
    return simplified


def node(operator: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> onnx.NodeProto:
    """A node named after its first output."""
    return helper.make_node(operator, list(inputs), list(outputs), name=f"{outputs[0]}_node", **attributes)
