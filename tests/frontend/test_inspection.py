"""What `inspect` reports."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from quantmcu.errors import UsageError
from quantmcu.frontend import supported_operators
from quantmcu.inspection import inspect_model
from tests.onnx_models import make_model, node


def residual() -> onnx.ModelProto:
    """A convolution with a skip connection, then a pooling that is flattened."""
    nodes = [
        node("Conv", ["x", "w"], "c", pads=[1, 1, 1, 1]),
        node("Add", ["c", "x"], "a"),
        node("GlobalAveragePool", ["a"], "p"),
        node("Flatten", ["p"], "y"),
    ]
    return make_model(nodes, {"x": ["n", 2, 4, 4]}, ["y"], {"w": np.ones((2, 2, 3, 3), np.float32)})


def test_layers_macs_and_memory() -> None:
    """Counted by hand: the map x, 32 bytes, lives until the Add has read it."""
    inspection = inspect_model(residual())
    assert inspection.operators == {"Add": 1, "Conv": 1, "Flatten": 1, "GlobalAveragePool": 1}
    assert [(layer.name, layer.operator) for layer in inspection.layers] == [
        ("c_node", "Conv2D"), ("a_node", "Add"), ("p_node", "AveragePool"), ("y_node", "Reshape"),
    ]  # fmt: skip
    assert [layer.live_bytes for layer in inspection.layers] == [64, 96, 34, 2]
    assert (inspection.peak_bytes, inspection.peak_layer) == (96, "a_node")
    assert inspection.macs == inspection.layers[0].macs == 4 * 4 * 2 * 3 * 3 * 2
    assert inspection.parameters == 2 * 2 * 9 + 2
    assert inspection.inputs[0].layout == (0, 2, 3, 1)


def test_json() -> None:
    """Only plain values."""
    assert json.loads(json.dumps(inspect_model(residual()).as_dict()))["macs"] == 576


def test_unsupported_operators_are_reported_not_raised() -> None:
    """With the operators that the model has."""
    model = make_model([node("Relu", ["x"], "r"), node("Det", ["r"], "y")], {"x": [1, 3, 3]}, ["y"])
    inspection = inspect_model(model)
    assert inspection.operators == {"Det": 1, "Relu": 1}
    (problem,) = inspection.problems
    assert "Det" in problem["where"]
    assert "not supported" in problem["what"]
    assert inspection.layers == ()


def test_missing_file(tmp_path: Path) -> None:
    """As when compiling."""
    with pytest.raises(UsageError):
        inspect_model(tmp_path / "none.onnx")


def test_table_of_operators() -> None:
    """Every operator that the issue asks for, each of which ONNX knows."""
    table = {row.operator: row for row in supported_operators()}
    names = (
        "Conv Gemm MatMul BatchNormalization Relu Clip LeakyRelu PRelu HardSwish HardSigmoid Sigmoid Tanh Elu Softplus "
        "Gelu Exp Abs Neg Sqrt Add Sub Mul Div Concat Split Slice MaxPool AveragePool GlobalAveragePool GlobalMaxPool "
        "ReduceMean Pad Flatten Reshape Transpose Squeeze Unsqueeze Resize Upsample Softmax ArgMax Identity Dropout "
        "Cast Constant Shape"
    )
    wanted = names.split()
    assert set(wanted) <= set(table)
    assert list(table) == sorted(table)
    for row in table.values():
        schema = onnx.defs.get_schema(row.operator)
        assert row.oldest_opset <= row.newest_opset
        assert set(row.attributes) <= attributes_of(row.operator), row.operator
        assert schema.domain == ""


def attributes_of(operator: str) -> set[str]:
    """Attributes that any version of an operator has."""
    schemas = [s for s in onnx.defs.get_all_schemas_with_history() if s.name == operator and not s.domain]
    return {name for schema in schemas for name in schema.attributes}
