"""Each operator on random attributes, against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from quantmcu.frontend import load_onnx
from quantmcu.ir import ops
from tests.onnx_models import NEWEST_OF_RUNTIME, check_import, make_model, node, run

OPSETS = st.sampled_from((11, 13, 17, NEWEST_OF_RUNTIME))
SMALL = settings(max_examples=60, deadline=None)


def normal(*shape: int) -> np.ndarray[Any, Any]:
    """Random values, always the same."""
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


@st.composite
def windows(draw: st.DrawFn, rank: int) -> tuple[list[int], dict[str, Any]]:
    """Sizes of a map and the window attributes of a convolution or pooling that fits it."""
    kernel = [draw(st.integers(1, 4)) for _ in range(rank)]
    attributes: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": [draw(st.integers(1, 3)) for _ in range(rank)],
    }
    auto = draw(st.sampled_from(("NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")))
    if auto == "NOTSET":
        attributes["pads"] = [draw(st.integers(0, k - 1)) for k in kernel * 2]
    else:
        attributes["auto_pad"] = auto
        # ONNX Runtime refuses SAME where the stride passes the kernel
        attributes["strides"] = [min(s, k) for s, k in zip(attributes["strides"], kernel, strict=True)]
    return [draw(st.integers(k, 9)) for k in kernel], attributes


@given(st.data(), st.sampled_from((1, 2)), OPSETS)
@SMALL
def test_conv(data: st.DataObject, rank: int, opset: int) -> None:
    """Kernel, stride, dilation, asymmetric padding, groups, one and two dimensions."""
    sizes, attributes = data.draw(windows(rank))
    same = attributes.get("auto_pad", "").startswith("SAME")  # ONNX Runtime refuses SAME with dilation
    attributes["dilations"] = [1 if same else data.draw(st.integers(1, 2)) for _ in sizes]
    spans = [(k - 1) * d + 1 for k, d in zip(attributes["kernel_shape"], attributes["dilations"], strict=True)]
    sizes = [max(size, span) for size, span in zip(sizes, spans, strict=True)]
    groups, width = data.draw(st.sampled_from(((1, 3), (2, 2), (4, 1), (3, 1))))
    outputs = groups * data.draw(st.integers(1, 2))
    constants = {"w": normal(outputs, width, *attributes["kernel_shape"])}
    inputs = ["x", "w"]
    if data.draw(st.booleans()):
        constants["b"] = normal(outputs)
        inputs.append("b")
    model = make_model(
        [node("Conv", inputs, "y", group=groups, **attributes)],
        {"x": [1, groups * width, *sizes]},
        ["y"],
        constants,
        opset,
    )
    graph = check_import(model)
    assert [type(op) for op in graph.ops if not isinstance(op, ops.Reshape)] == [ops.Conv2D]


@given(st.data(), st.sampled_from((1, 2)), OPSETS, st.booleans())
@SMALL
def test_max_pool(data: st.DataObject, rank: int, opset: int, ceil: bool) -> None:
    """Padding, strides, dilation and ceil_mode."""
    sizes, attributes = data.draw(windows(rank))
    if "auto_pad" not in attributes:
        attributes["dilations"] = [data.draw(st.integers(1, 2)) for _ in sizes]
        attributes["ceil_mode"] = int(ceil)
        sizes = [size * 2 for size in sizes]
    check_import(make_model([node("MaxPool", ["x"], "y", **attributes)], {"x": [1, 3, *sizes]}, ["y"], opset=opset))


@given(st.data(), st.sampled_from((1, 2)), OPSETS, st.booleans(), st.booleans())
@SMALL
def test_average_pool(data: st.DataObject, rank: int, opset: int, ceil: bool, count: bool) -> None:
    """Padding that counts or does not, strides, ceil_mode."""
    sizes, attributes = data.draw(windows(rank))
    if "auto_pad" not in attributes:
        attributes["ceil_mode"] = int(ceil)
    attributes["count_include_pad"] = int(count)
    check_import(make_model([node("AveragePool", ["x"], "y", **attributes)], {"x": [1, 3, *sizes]}, ["y"], opset=opset))


@pytest.mark.parametrize("rank", [3, 4])
@pytest.mark.parametrize("operator", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pool(operator: str, rank: int) -> None:
    """The whole map."""
    check_import(make_model([node(operator, ["x"], "y")], {"x": [1, 3, 4, 5][:rank]}, ["y"]))


UNARY: list[tuple[str, dict[str, Any], int]] = [
    ("Relu", {}, 11), ("LeakyRelu", {"alpha": 0.3}, 11), ("LeakyRelu", {}, 11), ("HardSigmoid", {}, 11),
    ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}, 11), ("HardSwish", {}, 14), ("Sigmoid", {}, 11), ("Tanh", {}, 11),
    ("Elu", {}, 11), ("Elu", {"alpha": 2.0}, 11), ("Softplus", {}, 11), ("Exp", {}, 11), ("Abs", {}, 11),
    ("Neg", {}, 11), ("Gelu", {}, 20), ("Identity", {}, 11), ("Dropout", {}, 11), ("Erf", {}, 11), ("Mish", {}, 18),
    ("Softsign", {}, 11), ("Selu", {}, 11), ("Selu", {"alpha": 1.5, "gamma": 0.8}, 11), ("Celu", {"alpha": 1.4}, 12),
    ("ThresholdedRelu", {"alpha": 0.4}, 11),
]  # fmt: skip


@pytest.mark.parametrize("shape", [[1, 3, 4, 5], [1, 7]])
@pytest.mark.parametrize(("operator", "attributes", "opset"), UNARY)
def test_unary(operator: str, attributes: dict[str, Any], opset: int, shape: list[int]) -> None:
    """Functions of one value, on maps and vectors, with a neighbour that fixes the layout."""
    for version in {opset, max(opset, 17), NEWEST_OF_RUNTIME}:
        check_import(make_model([node(operator, ["x"], "y", **attributes)], {"x": shape}, ["y"], opset=version))


def test_sqrt_of_positive_values() -> None:
    """Square roots, which the random inputs of the others would make NaN."""
    check_import(make_model([node("Abs", ["x"], "a"), node("Sqrt", ["a"], "y")], {"x": [1, 5]}, ["y"]))


@pytest.mark.parametrize(("low", "high"), [(0.0, 6.0), (-1.0, None), (None, 0.5), (None, None)])
def test_clip(low: float | None, high: float | None) -> None:
    """Bounds as optional inputs."""
    bounds = {name: np.float32(value) for name, value in (("lo", low), ("hi", high)) if value is not None}
    inputs = ["x", "lo" if low is not None else "", "hi" if high is not None else ""]
    model = make_model([node("Clip", inputs, "y")], {"x": [1, 4]}, ["y"], {k: np.asarray(v) for k, v in bounds.items()})
    check_import(model)


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.0])
def test_power(exponent: float) -> None:
    """By a constant."""
    check_import(make_model([node("Pow", ["x", "e"], "y")], {"x": [1, 5]}, ["y"], {"e": np.float32(exponent)}))


@pytest.mark.parametrize("operator", ["Min", "Max"])
def test_bounds(operator: str) -> None:
    """The network's values among constants."""
    constants = {"a": np.float32(0.3), "b": np.array([0.6], np.float32)}
    check_import(make_model([node(operator, ["a", "x", "b"], "y")], {"x": [1, 2, 3, 3]}, ["y"], constants))


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space_behind_a_convolution(mode: str) -> None:
    """Blocks of channels become pixels, as ONNX numbers them."""
    nodes = [node("Conv", ["x", "w"], "c"), node("DepthToSpace", ["c"], "y", blocksize=2, mode=mode)]
    check_import(make_model(nodes, {"x": [1, 2, 3, 4]}, ["y"], {"w": normal(12, 2, 1, 1)}))


def test_space_to_depth() -> None:
    """Blocks of pixels become channels."""
    nodes = [node("SpaceToDepth", ["x"], "s", blocksize=2), node("Conv", ["s", "w"], "y")]
    check_import(make_model(nodes, {"x": [1, 3, 4, 6]}, ["y"], {"w": normal(5, 12, 1, 1)}))


@given(st.data(), st.sampled_from((1, 2)))
@SMALL
def test_conv_transpose(data: st.DataObject, rank: int) -> None:
    """Kernel, stride, asymmetric padding, output padding, groups, the rules of SAME."""
    kernel = [data.draw(st.integers(1, 5)) for _ in range(rank)]
    strides = [data.draw(st.integers(1, 3)) for _ in range(rank)]
    groups, width = data.draw(st.sampled_from(((1, 3), (2, 2), (3, 1))))
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": strides, "group": groups}
    if data.draw(st.booleans()):
        attributes["pads"] = [data.draw(st.integers(0, (k - 1) // 2)) for k in kernel * 2]
        attributes["output_padding"] = [data.draw(st.integers(0, s - 1)) for s in strides]
    elif all(k >= s for k, s in zip(kernel, strides, strict=True)):
        attributes["auto_pad"] = data.draw(st.sampled_from(("SAME_UPPER", "SAME_LOWER")))
    constants = {"w": normal(groups * width, 2, *kernel), "b": normal(groups * 2)}
    sizes = [data.draw(st.integers(2, 6)) for _ in range(rank)]
    nodes = [node("ConvTranspose", ["x", "w", "b"], "y", **attributes)]
    model = make_model(nodes, {"x": [1, groups * width, *sizes]}, ["y"], constants)
    graph = check_import(model)
    assert sum(isinstance(op, ops.Conv2D) for op in graph.ops) == 1


@pytest.mark.parametrize("alpha", [1.0, 0.5])
@pytest.mark.parametrize("transpose_a", [0, 1])
@pytest.mark.parametrize("transpose_b", [0, 1])
@pytest.mark.parametrize("bias", [None, (), (3,), (1, 3), (1, 1)])
def test_gemm(alpha: float, transpose_a: int, transpose_b: int, bias: tuple[int, ...] | None) -> None:
    """Scaling, transposition, every shape of C."""
    constants = {"b": normal(3, 4) if transpose_b else normal(4, 3)}
    inputs = ["x", "b"]
    if bias is not None:
        constants["c"] = np.asarray(normal(*bias), np.float32)
        inputs.append("c")
    gemm = node("Gemm", inputs, "y", alpha=alpha, beta=2.0, transA=transpose_a, transB=transpose_b)
    flat = [node("Reshape", ["x0", "shape"], "x"), gemm] if transpose_a else [gemm]
    constants["shape"] = np.array([4, 1], np.int64)
    graph = check_import(make_model(flat, {"x0" if transpose_a else "x": [1, 4]}, ["y"], constants))
    assert sum(isinstance(op, ops.Dense) for op in graph.ops) == 1


def test_matmul_with_constant_on_either_side() -> None:
    """x W and W x."""
    constants = {"w": normal(4, 3), "v": normal(2, 5)}
    nodes = [node("MatMul", ["x", "w"], "a"), node("MatMul", ["v", "x"], "b")]
    check_import(make_model(nodes, {"x": [1, 5, 4]}, ["a", "b"], constants))


@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize("shape", [[1, 3, 4, 5], [1, 6]])
@pytest.mark.parametrize("axis", [None, 1, -1, 0])
def test_softmax(axis: int | None, shape: list[int], opset: int) -> None:
    """Before opset 13 over all axes from `axis` on."""
    attributes = {} if axis is None else {"axis": axis}
    check_import(make_model([node("Softmax", ["x"], "y", **attributes)], {"x": shape}, ["y"], opset=opset))


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("axis", [1, 2, -1])
def test_arg_max_behind_a_convolution(axis: int, keep: int) -> None:
    """The axis is ONNX's, whatever the layout."""
    nodes = [node("Conv", ["x", "w"], "c"), node("ArgMax", ["c"], "y", axis=axis, keepdims=keep)]
    graph = check_import(make_model(nodes, {"x": [1, 2, 4, 5]}, ["y"], {"w": normal(6, 2, 1, 1)}))
    assert graph.tensor("y").is_index


@given(
    st.sampled_from(("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")),
    st.sampled_from(("nearest", "linear")),
    st.sampled_from(("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")),
    st.sampled_from((0.5, 0.6, 1.0, 1.5, 2.0, 3.0, 2.3)),
    st.sampled_from((0.4, 1.0, 2.0, 4.0)),
    st.integers(3, 9),
    st.booleans(),
)
@SMALL
def test_resize(
    coordinates: str, mode: str, rounding: str, rows: float, columns: float, size: int, by_size: bool
) -> None:
    """Every coordinate transformation, by scales and by sizes."""
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates, "nearest_mode": rounding}
    if by_size:
        constants = {"s": np.array([1, 2, max(int(size * rows), 1), max(int(5 * columns), 1)], np.int64)}
        inputs = ["x", "", "", "s"]
    else:
        assume(int(size * rows) >= 1 and int(5 * columns) >= 1)
        constants = {"s": np.array([1, 1, rows, columns], np.float32)}
        inputs = ["x", "", "s"]
    model = make_model([node("Resize", inputs, "y", **attributes)], {"x": [1, 2, size, 5]}, ["y"], constants, 19)
    check_import(model)


def test_upsample_is_an_asymmetric_resize() -> None:
    """Upsample was withdrawn from ONNX with opset 10; the same Resize is the reference."""
    scales = {"s": np.array([1, 1, 2, 3], np.float32)}
    upsample = make_model([node("Relu", ["x"], "y")], {"x": [1, 2, 4, 4]}, ["y"], scales)
    upsample.graph.node[0].op_type = "Upsample"
    upsample.graph.node[0].input.append("s")
    (op,) = load_onnx(upsample).ops
    assert isinstance(op, ops.Resize)
    assert (op.mode, op.scales, op.coordinates, op.rounding) == ("nearest", (2.0, 3.0), "asymmetric", "floor")


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_split(opset: int) -> None:
    """Sizes as an attribute, as an input, or equal parts."""
    constants, attributes, inputs = {"w": normal(6, 2, 1, 1)}, {"axis": 1}, ["c"]
    if opset >= 13:
        constants["sizes"] = np.array([1, 3, 2], np.int64)
        inputs.append("sizes")
    else:
        attributes["split"] = [1, 3, 2]
    nodes = [node("Conv", ["x", "w"], "c"), node("Split", inputs, "p", "q", "r", **attributes)]
    check_import(make_model(nodes, {"x": [1, 2, 3, 3]}, ["p", "q", "r"], constants, opset))


def test_split_into_equal_parts() -> None:
    """num_outputs, with a smaller last part."""
    nodes = [node("Split", ["x"], "p", "q", "r", axis=1, num_outputs=3)]
    check_import(make_model(nodes, {"x": [1, 8]}, ["p", "q", "r"], opset=18))


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_pad_of_some_axes(mode: str) -> None:
    """Axes as an input, opset 18."""
    constants = {"p": np.array([1, 0, 2, 1], np.int64), "a": np.array([2, -1], np.int64)}
    model = make_model([node("Pad", ["x", "p", "", "a"], "y", mode=mode)], {"x": [1, 2, 4, 4]}, ["y"], constants, 18)
    check_import(model)


def test_shape_subgraph_of_a_flatten_is_folded() -> None:
    """PyTorch's x.view(x.size(0), -1) with a dynamic batch."""
    nodes = [
        node("Conv", ["x", "w"], "c"),
        node("Shape", ["c"], "shape"),
        node("Gather", ["shape", "zero"], "batch"),
        node("Unsqueeze", ["batch", "axes"], "batch_1d"),
        node("Concat", ["batch_1d", "rest"], "target", axis=0),
        node("Reshape", ["c", "target"], "flat"),
        node("Gemm", ["flat", "g"], "y"),
    ]
    constants = {
        "w": normal(3, 2, 2, 2), "zero": np.array(0), "axes": np.array([0]), "rest": np.array([-1]), "g": normal(27, 4),
    }  # fmt: skip
    graph = check_import(make_model(nodes, {"x": ["batch", 2, 4, 4]}, ["y"], constants))
    assert [type(op).__name__ for op in graph.ops] == ["Conv2D", "Reshape", "Dense"]


def test_squeeze_excite_gate_needs_no_transpose() -> None:
    """A gate by channel computed from the mean of the map."""
    nodes = [
        node("Conv", ["x", "w"], "c"),
        node("GlobalAveragePool", ["c"], "mean"),
        node("Flatten", ["mean"], "flat"),
        node("Gemm", ["flat", "g"], "logits"),
        node("HardSigmoid", ["logits"], "gate"),
        node("Unsqueeze", ["gate", "axes"], "gate_4d"),
        node("Mul", ["c", "gate_4d"], "y"),
    ]
    constants = {"w": normal(4, 2, 1, 1), "g": normal(4, 4), "axes": np.array([2, 3])}
    graph = check_import(make_model(nodes, {"x": [1, 2, 5, 5]}, ["y"], constants))
    assert not any(isinstance(op, ops.Transpose) for op in graph.ops)


def test_channel_shuffle_needs_one_transpose() -> None:
    """Reshape, Transpose, Reshape between convolutions."""
    nodes = [
        node("Conv", ["x", "w"], "c"),
        node("Reshape", ["c", "groups"], "g"),
        node("Transpose", ["g"], "t", perm=[0, 2, 1, 3, 4]),
        node("Reshape", ["t", "whole"], "s"),
        node("Conv", ["s", "v"], "y"),
    ]
    constants = {
        "w": normal(6, 2, 1, 1), "v": normal(3, 6, 1, 1),
        "groups": np.array([1, 2, 3, 5, 5]), "whole": np.array([1, 6, 5, 5]),
    }  # fmt: skip
    graph = check_import(make_model(nodes, {"x": [1, 2, 5, 5]}, ["y"], constants))
    (transpose,) = [op for op in graph.ops if isinstance(op, ops.Transpose)]
    assert transpose.permutation == (0, 1, 2, 4, 3)


def test_nhwc_model_needs_no_transpose_and_keeps_its_input() -> None:
    """As TensorFlow exporters write it."""
    nodes = [
        node("Transpose", ["x"], "nchw", perm=[0, 3, 1, 2]),
        node("Conv", ["nchw", "w"], "c"),
        node("Relu", ["c"], "r"),
        node("Transpose", ["r"], "y", perm=[0, 2, 3, 1]),
    ]
    graph = check_import(make_model(nodes, {"x": [1, 4, 5, 2]}, ["y"], {"w": normal(3, 2, 1, 1)}))
    assert [type(op) for op in graph.ops] == [ops.Conv2D]
    assert graph.tensor("x").shape == (1, 4, 5, 2)
    assert graph.input_layouts == (None,)
    assert graph.output_layouts == (None,)


def test_nchw_input_becomes_nhwc() -> None:
    """The layout is recorded."""
    graph = check_import(
        make_model([node("Conv", ["x", "w"], "y")], {"x": [1, 2, 4, 5]}, ["y"], {"w": normal(3, 2, 1, 1)})
    )
    assert graph.tensor("x").shape == (1, 4, 5, 2)
    assert graph.input_layouts == ((0, 2, 3, 1),)
    assert graph.output_layouts == ((0, 2, 3, 1),)


def test_flatten_behind_a_convolution_is_absorbed_by_the_dense_layer() -> None:
    """The columns of the weights are permuted instead of the map."""
    nodes = [node("Conv", ["x", "w"], "c"), node("Flatten", ["c"], "f"), node("Gemm", ["f", "g"], "y")]
    graph = check_import(make_model(nodes, {"x": [1, 2, 4, 5]}, ["y"], {"w": normal(3, 2, 1, 1), "g": normal(60, 4)}))
    assert [type(op) for op in graph.ops] == [ops.Conv2D, ops.Reshape, ops.Dense]


def test_model_without_names() -> None:
    """Unnamed nodes are called <Op>_<index>, and names are unique."""
    model = make_model(
        [node("Relu", ["x"], "a"), node("Sigmoid", ["a"], "b"), node("Sigmoid", ["b"], "y")], {"x": [1, 3]}, ["y"]
    )
    for proto in model.graph.node:
        proto.name = ""
    assert [op.name for op in load_onnx(model).ops] == ["Relu_0", "Sigmoid_1", "Sigmoid_2"]


def test_output_that_is_an_input() -> None:
    """Passed through by a copy."""
    model = make_model([node("Identity", ["x"], "y"), node("Relu", ["x"], "z")], {"x": [1, 3]}, ["y", "z"])
    check_import(model)


def test_opset_28_runs_through_the_importer() -> None:
    """Newer than ONNX Runtime may know: compared with the same model of opset 17."""
    nodes = [node("Conv", ["x", "w"], "c"), node("Relu", ["c"], "y")]
    arguments = ({"x": [1, 2, 4, 4]}, ["y"], {"w": normal(3, 2, 3, 3)})
    from quantmcu.export import export_onnx
    from quantmcu.frontend.registry import NEWEST_OPSET

    feeds = {"x": normal(1, 2, 4, 4)}
    newest = run(export_onnx(load_onnx(make_model(nodes, *arguments, opset=NEWEST_OPSET))), feeds)
    np.testing.assert_allclose(newest["y"], run(make_model(nodes, *arguments), feeds)["y"], rtol=1e-5)
