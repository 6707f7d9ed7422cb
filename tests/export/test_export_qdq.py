"""The QDQ export runs in ONNX Runtime and computes what quantized tensors and weights mean."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from quantmcu.export import export_onnx, from_onnx_layout, narrow_types
from quantmcu.frontend import load_onnx
from quantmcu.ir import Graph, QParams, QuantizedWeights, ops
from quantmcu.ir.ops import Op
from quantmcu.passes import simplify
from tests.onnx_models import make_model, node, random_feeds, run
from tests.random_networks import networks


def normal(*shape: int) -> np.ndarray[Any, Any]:
    """Random values, always the same."""
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


def network() -> onnx.ModelProto:
    """Convolutions of every kind, a residual Add, pooling and a Dense layer."""
    nodes = [
        node("Conv", ["x", "w", "wb"], "c", pads=[1, 1, 1, 1]),
        node("Relu", ["c"], "r"),
        node("Conv", ["r", "d"], "e", pads=[1, 1, 1, 1], group=8),
        node("Add", ["e", "r"], "a"),
        node("MaxPool", ["a"], "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["p"], "f"),
        node("Gemm", ["f", "g", "gb"], "y"),
    ]
    constants = {
        "w": normal(8, 3, 3, 3), "wb": normal(8), "d": normal(8, 1, 3, 3), "g": normal(72, 5) / 8, "gb": normal(5),
    }  # fmt: skip
    return make_model(nodes, {"x": [1, 3, 6, 6]}, ["y", "a"], constants)


def values_of(graph: Graph, feeds: dict[str, Any]) -> dict[str, Any]:
    """Every tensor of the float network for these inputs, in ONNX's layout; constants in ours."""
    exported = export_onnx(graph)
    names = [name for op in graph.ops for name in op.outputs if name not in graph.outputs]
    exported.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    constants = {tensor.name: tensor.data for tensor in graph.tensors.values() if tensor.data is not None}
    return {**feeds, **constants, **run(exported, feeds)}


def quantized(graph: Graph, feeds: dict[str, Any], bits: int, weight_bits: int) -> Graph:
    """`graph` with ranges from one input, and weights rounded to the nearest code."""
    values = values_of(graph, feeds)

    def qparams(name: str) -> QParams:
        low, high = min(float(values[name].min()), 0.0), max(float(values[name].max()), 0.0)
        scale = float(np.float32((high - low) / (2**bits - 1))) or 1.0
        return QParams(bits, scale, round(-low / scale))

    def weights(op: Any) -> Any:
        if not isinstance(op, (ops.Conv2D, ops.Dense)):
            return op
        limit = 2 ** (weight_bits - 1) - 1
        scales = np.abs(op.weight).reshape(len(op.weight), -1).max(axis=1).astype(np.float64) / limit
        scales = np.where(scales > 0, scales, 1e-12)
        codes = np.rint(op.weight / scales.reshape(-1, *[1] * (op.weight.ndim - 1))).astype(np.int8)
        return replace(op, quantized=QuantizedWeights(weight_bits, codes, scales, op.bias.astype(np.float64)))

    tensors = [replace(tensor, qparams=qparams(tensor.name)) for tensor in graph.tensors.values()]
    return graph.with_ops([weights(op) for op in graph.ops], tensors)


@pytest.mark.parametrize(
    ("bits", "weight_bits", "opset", "error"),
    [
        (8, 8, 17, 0.03), (4, 8, 21, 0.4), (8, 4, 21, 0.3), (2, 8, 25, 2.0), (4, 4, 21, 0.5), (8, 2, 25, 2.0),
        (2, 2, 25, 2.0),
    ],
)  # fmt: skip
def test_qdq_model_runs_and_approximates_the_float_model(bits: int, weight_bits: int, opset: int, error: float) -> None:
    """Every bit width; the error is bounded by the coarseness."""
    model = network()
    feeds = random_feeds(model)
    graph = quantized(simplify(load_onnx(model)), feeds, bits, weight_bits)
    exported = export_onnx(graph, qdq=True)
    onnx.checker.check_model(exported)
    assert exported.opset_import[0].version == opset
    expected, found = run(model, feeds), run(exported, feeds)
    assert list(expected) == list(found)
    for name, values in expected.items():
        assert found[name].shape == values.shape
        assert np.abs(found[name] - values).mean() < error * np.abs(values).mean()
    # outputs take only values that their codes stand for
    for name in found:
        qparams = graph.tensor(name).qparams
        assert qparams is not None
        codes = found[name] / qparams.scale + qparams.zero_point
        np.testing.assert_allclose(codes, np.rint(codes), atol=1e-3)
        assert codes.min() >= -1e-3
        assert codes.max() <= qparams.highest_code + 1e-3


def test_types_in_the_qdq_model() -> None:
    """int8 weights per output channel, int32 biases of scale S_in * S_w, uint8 activations."""
    model = network()
    graph = quantized(simplify(load_onnx(model)), random_feeds(model), 8, 8)
    exported = export_onnx(graph, qdq=True)
    types = {tensor.name: tensor.data_type for tensor in exported.graph.initializer}
    assert types["c_node_weight_quantized"] == TensorProto.INT8
    assert types["c_node_bias_quantized"] == TensorProto.INT32
    assert types["r_zero_point"] == TensorProto.UINT8
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in exported.graph.initializer}
    conv = graph.ops[0]
    assert isinstance(conv, ops.Conv2D)
    assert conv.quantized is not None
    assert arrays["c_node_weight_scale"].shape == (8,)
    qparams = graph.tensor("x").qparams
    assert qparams is not None
    scale = arrays["c_node_bias_scale"]
    np.testing.assert_allclose(scale, conv.quantized.scales * qparams.scale, rtol=1e-6)
    np.testing.assert_allclose(arrays["c_node_bias_quantized"] * scale, conv.bias, atol=float(scale.max()))
    kinds = Counter(node.op_type for node in exported.graph.node)
    assert kinds["QuantizeLinear"] == len(graph.tensors)


@pytest.mark.parametrize(
    ("bits", "signed", "unsigned"),
    [(4, TensorProto.INT4, TensorProto.UINT4), (2, TensorProto.INT2, TensorProto.UINT2)],
)
def test_narrow_types(bits: int, signed: int, unsigned: int) -> None:
    """Weights and activations have ONNX's own types, and the metadata say of how many bits they are."""
    model = network()
    exported = export_onnx(quantized(simplify(load_onnx(model)), random_feeds(model), bits, bits), qdq=True)
    types = {tensor.name: tensor.data_type for tensor in exported.graph.initializer}
    assert types["c_node_weight_quantized"] == signed
    casts = {made.name: made.attribute[0].i for made in exported.graph.node if made.op_type == "Cast"}
    assert casts["r_pack"] == unsigned
    properties = {entry.key: json.loads(entry.value) for entry in exported.metadata_props}
    assert properties["quantmcu.activation_bits"]["r"] == bits
    assert properties["quantmcu.weight_bits"]["c_node"] == bits


@pytest.mark.parametrize("bits", [4, 2])
def test_types_that_the_runtime_does_not_know(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """8-bit codes in the range of fewer bits compute the same."""
    model = network()
    feeds = random_feeds(model)
    graph = quantized(simplify(load_onnx(model)), feeds, bits, bits)
    native = run(export_onnx(graph, qdq=True), feeds)
    monkeypatch.setattr(narrow_types, "_is_known", lambda kind, bits: False)
    exported = export_onnx(graph, qdq=True)
    assert exported.opset_import[0].version == 17
    types = {tensor.name: tensor.data_type for tensor in exported.graph.initializer}
    assert types["c_node_weight_quantized"] == TensorProto.INT8
    assert {entry.key for entry in exported.metadata_props} == {"quantmcu.activation_bits", "quantmcu.weight_bits"}
    for name, values in run(exported, feeds).items():
        np.testing.assert_allclose(values, native[name], atol=1e-6)


def test_float_export_names_every_tensor() -> None:
    """So that calibration can fetch them; in our layout they are NHWC."""
    model = network()
    graph = simplify(load_onnx(model))
    exported = export_onnx(graph)
    written = {name for made in exported.graph.node for name in made.output}
    assert {name for op in graph.ops for name in op.outputs} <= written
    exported.graph.output.append(onnx.ValueInfoProto(name="p"))
    value = run(exported, random_feeds(model))["p"]
    assert from_onnx_layout(value).shape == graph.tensor("p").shape == (1, 3, 3, 8)


def test_export_is_deterministic() -> None:
    """The same bytes each time."""
    exports = [export_onnx(simplify(load_onnx(network()))).SerializeToString(deterministic=True) for _ in range(2)]
    assert exports[0] == exports[1]


@given(networks(6), st.sampled_from([8, 4, 2]))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_random_networks_run_quantized(model: onnx.ModelProto, bits: int) -> None:
    """ONNX Runtime accepts every operator between codes of any bits, and each alone is right within two codes.

    The network as a whole has no such bound: differences of large values leave it arbitrarily wrong.
    """
    graph = simplify(load_onnx(model))
    feeds = random_feeds(model)
    exported = export_onnx(quantized(graph, feeds, bits, bits), qdq=True)
    onnx.checker.check_model(exported)
    shapes = {name: values.shape for name, values in run(model, feeds).items()}
    assert {name: values.shape for name, values in run(exported, feeds).items()} == shapes
    for op in graph.ops:
        assert_right_within_two_codes(graph, op, bits)


def assert_right_within_two_codes(graph: Graph, op: Op, bits: int) -> None:
    """The operator between quantized values, beside the same in float with what those values and weights mean.

    ONNX Runtime computes some functions (softmax) from 8-bit codes, a little more than one code off.
    """
    read = [graph.tensor(name) for name in dict.fromkeys(op.inputs)]
    inputs = tuple(tensor.name for tensor in read if tensor.data is None)
    tensors = {tensor.name: tensor for tensor in [*read, graph.tensor(op.output)]}
    rng = np.random.default_rng(0)
    feeds = {name: rng.normal(size=tensors[name].shape).astype(np.float32) for name in inputs}
    narrow = quantized(Graph("alone", inputs, op.outputs, (op,), tensors), feeds, bits, bits)
    found = run(export_onnx(narrow, qdq=True), feeds)[op.output]
    expected = run(export_onnx(as_rounded(narrow)), {name: rounded(narrow, name, feeds[name]) for name in inputs})
    written = narrow.tensor(op.output).qparams
    assert written is not None
    tolerance = 2 * written.scale + largest_bias_error(narrow)
    np.testing.assert_allclose(found, np.clip(expected[op.output], *written.range), rtol=0, atol=tolerance)


def largest_bias_error(graph: Graph) -> float:
    """Of the first operator: half a step of its accumulator; 0 where it has no weights."""
    op = graph.ops[0]
    if not isinstance(op, (ops.Conv2D, ops.Dense)) or op.quantized is None:
        return 0.0
    read = graph.tensor(op.inputs[0]).qparams
    assert read is not None
    return 0.5 * read.scale * float(op.quantized.scales.max())


def rounded(graph: Graph, name: str, values: Any) -> Any:
    """The values that the codes of `values` stand for."""
    qparams = graph.tensor(name).qparams
    assert qparams is not None
    return qparams.dequantize(qparams.quantize(values))


def as_rounded(graph: Graph) -> Graph:
    """The float network whose constants and weights are those that codes stand for."""

    def weights(op: Op) -> Op:
        if not isinstance(op, (ops.Conv2D, ops.Dense)) or op.quantized is None:
            return op
        scales = op.quantized.scales.reshape(-1, *[1] * (op.weight.ndim - 1))
        return replace(op, weight=(op.quantized.codes * scales).astype(np.float32))

    constants = [tensor for tensor in graph.tensors.values() if tensor.data is not None]
    tensors = [replace(tensor, data=rounded(graph, tensor.name, tensor.data)) for tensor in constants]
    return graph.with_ops([weights(op) for op in graph.ops], tensors)


def test_channel_of_zero_weights_keeps_its_bias() -> None:
    """Its scale is free; a tiny one would not leave room for the bias in int32."""
    weights = normal(2, 1, 1, 1)
    weights[1] = 0
    nodes = [node("Conv", ["x", "w", "b"], "y")]
    model = make_model(nodes, {"x": [1, 1, 2, 2]}, ["y"], {"w": weights, "b": np.array([0.5, 0.6], np.float32)})
    feeds = random_feeds(model)
    found = run(export_onnx(quantized(simplify(load_onnx(model)), feeds, 8, 8), qdq=True), feeds)
    np.testing.assert_allclose(found["y"][0, 1], 0.6, atol=0.02)
