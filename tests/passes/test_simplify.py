"""What each pass is for, on small networks; that results stay the same is checked by ONNX Runtime each time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from quantmcu.frontend import load_onnx
from quantmcu.ir import Graph, Tensor, ops
from quantmcu.ir.macs import graph_macs
from quantmcu.passes import SIMPLIFY, simplify
from quantmcu.passes.constants import fold_constants
from tests.onnx_models import check_import, make_model, node


def normal(*shape: int) -> np.ndarray[Any, Any]:
    """Random values, always the same."""
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


def kinds(graph: Graph) -> list[str]:
    """Names of the operator classes."""
    return [type(op).__name__ for op in graph.ops]


def batch_norm(x: str, y: str, channels: int) -> tuple[Any, dict[str, Any]]:
    """A BatchNormalization node and its constants."""
    names = [f"{y}_{what}" for what in ("scale", "bias", "mean", "variance")]
    values = [normal(channels) + 1, normal(channels), normal(channels), np.abs(normal(channels)) + 0.5]
    return node("BatchNormalization", [x, *names], y), dict(zip(names, values, strict=True))


def test_batch_norm_folds_into_the_convolution_before_it() -> None:
    """With its Relu."""
    bn, constants = batch_norm("c", "b", 3)
    nodes = [node("Conv", ["x", "w"], "c", pads=[1, 1, 1, 1]), bn, node("Relu", ["b"], "y")]
    graph = check_import(make_model(nodes, {"x": [1, 2, 5, 5]}, ["y"], {"w": normal(3, 2, 3, 3), **constants}))
    (conv,) = graph.ops
    assert isinstance(conv, ops.Conv2D)
    assert conv.activation == ops.Clamp(0.0, np.inf)
    assert conv.name == "c_node"


@pytest.mark.parametrize(("pads", "expected"), [([0] * 4, ["Conv2D"]), ([1] * 4, ["Conv2D", "Conv2D"])])
def test_batch_norm_before_a_convolution(pads: list[int], expected: list[str]) -> None:
    """It folds into an unpadded one; before a padded one it becomes depthwise: padding is 0, not the shift."""
    bn, constants = batch_norm("x", "b", 2)
    nodes = [bn, node("Conv", ["b", "w"], "y", pads=pads)]
    graph = check_import(make_model(nodes, {"x": [1, 2, 5, 5]}, ["y"], {"w": normal(3, 2, 3, 3), **constants}))
    assert kinds(graph) == expected
    if len(expected) == 2:
        first = graph.ops[0]
        assert isinstance(first, ops.Conv2D)
        assert first.is_depthwise
        assert first.kernel == (1, 1)


def test_scale_alone_folds_into_a_padded_convolution() -> None:
    """0 times a scale is 0."""
    nodes = [node("Mul", ["x", "s"], "m"), node("Conv", ["m", "w"], "y", pads=[1] * 4)]
    constants = {"s": normal(2, 1, 1), "w": normal(3, 2, 3, 3)}
    assert kinds(check_import(make_model(nodes, {"x": [1, 2, 5, 5]}, ["y"], constants))) == ["Conv2D"]


def test_batch_norm_folds_into_dense_layers() -> None:
    """Behind and before."""
    after, constants = batch_norm("g", "y", 3)
    before, more = batch_norm("x", "n", 4)
    nodes = [before, node("Gemm", ["n", "w"], "g"), after]
    graph = check_import(make_model(nodes, {"x": [1, 4]}, ["y"], {"w": normal(4, 3), **constants, **more}))
    assert kinds(graph) == ["Dense"]


def test_values_that_others_read_are_kept() -> None:
    """No fusion into a convolution whose result is an output or has another reader."""
    nodes = [node("Conv", ["x", "w"], "c"), node("Relu", ["c"], "r"), node("Add", ["c", "r"], "y")]
    graph = check_import(make_model(nodes, {"x": [1, 2, 5, 5]}, ["y", "c"], {"w": normal(3, 2, 1, 1)}))
    assert kinds(graph) == ["Conv2D", "Unary", "Add"]


@pytest.mark.parametrize("operator", ["Conv", "Gemm", "Add", "Sub", "Mul"])
def test_clip_becomes_the_activation(operator: str) -> None:
    """Of every operator that has one."""
    constants = {
        "w": normal(3, 2, 1, 1) if operator == "Conv" else normal(2, 3),
        "lo": np.float32(0),
        "hi": np.float32(6),
    }
    second = "z" if operator in ("Add", "Sub", "Mul") else "w"
    shape = [1, 2, 3, 3] if operator == "Conv" else [1, 2]
    inputs = {"x": shape, "z": shape} if second == "z" else {"x": shape}
    nodes = [node(operator, ["x", second], "a"), node("Clip", ["a", "lo", "hi"], "y")]
    graph = check_import(make_model(nodes, inputs, ["y"], {k: np.asarray(v) for k, v in constants.items()}))
    (op,) = graph.ops
    assert op.activation == ops.Clamp(0.0, 6.0)


def test_relu_behind_max_pool_reaches_the_convolution() -> None:
    """Both are monotone."""
    nodes = [
        node("Conv", ["x", "w"], "c"),
        node("MaxPool", ["c"], "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Relu", ["p"], "y"),
    ]
    graph = check_import(make_model(nodes, {"x": [1, 2, 6, 6]}, ["y"], {"w": normal(3, 2, 1, 1)}))
    assert kinds(graph) == ["Conv2D", "MaxPool"]


@pytest.mark.parametrize(
    ("reader", "attributes", "relu", "folds"),
    [
        ("Conv", {}, False, True),
        ("AveragePool", {"kernel_shape": [3, 3]}, False, True),
        ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, False, False),
        ("AveragePool", {"kernel_shape": [3, 3], "pads": [0, 1, 0, 1], "count_include_pad": 1}, False, True),
        ("MaxPool", {"kernel_shape": [3, 3]}, False, False),
        ("MaxPool", {"kernel_shape": [3, 3]}, True, True),
        ("MaxPool", {"kernel_shape": [1, 1]}, True, False),
    ],
)
def test_padding_folds_where_it_is_exact(reader: str, attributes: dict[str, Any], relu: bool, folds: bool) -> None:
    """A zero of the padding must not win a MaxPool, and counts in an AveragePool."""
    nodes = [
        node("Relu" if relu else "Tanh", ["x"], "a"),
        node("Pad", ["a", "p"], "b"),
        node(reader, ["b", "w"] if reader == "Conv" else ["b"], "y", **attributes),
    ]
    constants = {"p": np.array([0, 0, 1, 1, 0, 0, 1, 0]), "w": normal(2, 2, 3, 3)}
    graph = check_import(make_model(nodes, {"x": [1, 2, 5, 5]}, ["y"], constants))
    assert ("Pad" not in kinds(graph)) == folds


def test_concat_with_zeros_becomes_a_pad() -> None:
    """As BlazeFace widens its skip connections."""
    nodes = [node("Relu", ["x"], "r"), node("Concat", ["r", "z"], "c", axis=1), node("Conv", ["c", "w"], "y")]
    constants = {"z": np.zeros((1, 2, 4, 4), np.float32), "w": normal(3, 4, 1, 1)}
    imported = load_onnx(make_model(nodes, {"x": [1, 2, 4, 4]}, ["y", "c"], constants))
    assert kinds(imported) == ["Unary", "Concat", "Conv2D"]
    graph = simplify(imported)
    assert kinds(graph) == ["Unary", "Pad", "Conv2D"]
    assert graph.ops[1].after == (0, 0, 0, 2)


def test_gates_are_recognised() -> None:
    """x * sigmoid(x), x * hard_sigmoid(x)."""
    nodes = [
        node("Sigmoid", ["x"], "s"), node("Mul", ["x", "s"], "silu"),
        node("HardSigmoid", ["silu"], "h", alpha=1 / 6, beta=0.5), node("Mul", ["h", "silu"], "y"),
    ]  # fmt: skip
    graph = check_import(make_model(nodes, {"x": [1, 5]}, ["y"]))
    assert [op.function for op in graph.ops] == ["silu", "hard_swish"]


def test_activation_behind_a_one_dimensional_convolution_is_fused() -> None:
    """The Reshapes of the added height do not stand between."""
    bn, constants = batch_norm("c", "b", 3)
    nodes = [node("Conv", ["x", "w"], "c"), bn, node("Relu", ["b"], "r"), node("Conv", ["r", "v"], "y")]
    constants |= {"w": normal(3, 2, 3), "v": normal(2, 3, 3)}
    graph = check_import(make_model(nodes, {"x": [1, 2, 12]}, ["y"], constants))
    assert kinds(graph) == ["Reshape", "Conv2D", "Conv2D", "Reshape"]


# -- dead channels ----------------------------------------------------------------------------------------------------


def dead_model(pads: int, bias: float, middle: str = "Relu") -> Any:
    """Two convolutions; channels 1 and 3 of the first have zero weights and the given bias; nothing reads channel 0."""
    w, v = normal(5, 2, 3, 3), normal(3, 5, 3, 3)
    w[[1, 3]] = 0
    v[:, 0] = 0
    nodes = [
        node("Conv", ["x", "w", "b"], "c"), node(middle, ["c"], "r"),
        node("Conv", ["r", "v"], "y", pads=[pads] * 4),
    ]  # fmt: skip
    constants = {"w": w, "v": v, "b": np.array([0.1, bias, 0.2, bias, 0.3], np.float32)}
    return make_model(nodes, {"x": [1, 2, 9, 9]}, ["y"], constants)


@pytest.mark.parametrize(
    ("pads", "bias", "middle", "kept"),
    [
        (0, 0.7, "Relu", 2),  # the constants go to the bias
        (1, 0.7, "Relu", 4),  # they would be missing at the border; only the unread channel goes
        (1, -0.7, "Relu", 2),  # the Relu makes them 0
        (1, 0.0, "Tanh", 2),
    ],
)
def test_dead_channels(pads: int, bias: float, middle: str, kept: int) -> None:
    """Constant channels disappear where that is exact."""
    graph = check_import(dead_model(pads, bias, middle))
    assert graph.tensor("r").shape[-1] == kept


def test_dead_channels_through_a_residual_block() -> None:
    """A channel goes only where both branches of the Add can lose it."""
    w, v = normal(4, 2, 1, 1), normal(4, 2, 1, 1)
    w[[0, 1]] = 0
    v[[1, 2]] = 0
    nodes = [
        node("Conv", ["x", "w"], "a"), node("Conv", ["x", "v"], "b"), node("Add", ["a", "b"], "s"),
        node("Relu", ["s"], "r"), node("Conv", ["r", "u"], "y", pads=[1] * 4),
    ]  # fmt: skip
    model = make_model(nodes, {"x": [1, 2, 5, 5]}, ["y"], {"w": w, "v": v, "u": normal(3, 4, 3, 3)})
    graph = check_import(model)
    assert graph.tensor("r").shape[-1] == 3


def test_dead_channels_through_concat_pool_and_flatten() -> None:
    """Masks follow the parts of a Concat and repeat in a flattened vector."""
    w, v = normal(4, 2, 1, 1), normal(3, 2, 1, 1)
    w[2], v[0] = 0, 0
    nodes = [
        node("Conv", ["x", "w"], "a"), node("Conv", ["x", "v"], "b"), node("Concat", ["a", "b"], "c", axis=1),
        node("MaxPool", ["c"], "p", kernel_shape=[2, 2], strides=[2, 2]), node("Flatten", ["p"], "f"),
        node("Gemm", ["f", "g"], "y"),
    ]  # fmt: skip
    constants = {"w": w, "v": v, "g": normal(28, 3)}
    graph = check_import(make_model(nodes, {"x": [1, 2, 4, 4]}, ["y"], constants))
    assert graph.tensor("c").shape[-1] == 5
    assert graph.ops[-1].weight.shape == (3, 20)


def test_decayed_weights_count_as_zero() -> None:
    """Weights of 1e-30 beside weights of 1."""
    w = normal(4, 2, 3, 3)
    w[1:3] *= 1e-30
    nodes = [node("Conv", ["x", "w"], "c"), node("Relu", ["c"], "r"), node("Conv", ["r", "v"], "y")]
    model = make_model(nodes, {"x": [1, 2, 6, 6]}, ["y"], {"w": w, "v": normal(3, 4, 1, 1)})
    graph = check_import(model)
    assert graph.tensor("r").shape[-1] == 2
    assert graph_macs(graph) < graph_macs(load_onnx(model))


def test_a_network_that_is_constant_keeps_a_channel() -> None:
    """All weights zero: nothing may end up with zero channels."""
    nodes = [node("Conv", ["x", "w"], "c"), node("Relu", ["c"], "r"), node("Conv", ["r", "v"], "y")]
    zeros = np.zeros((3, 2, 1, 1), np.float32)
    graph = check_import(make_model(nodes, {"x": [1, 2, 3, 3]}, ["y"], {"w": zeros, "v": normal(2, 3, 1, 1)}))
    assert graph.tensor("r").shape[-1] == 1


def test_every_pass_says_what_it_does() -> None:
    """One line each, for the documentation."""
    assert all(run.__doc__ and len(run.__doc__.splitlines()) == 1 for run in SIMPLIFY)


def test_constants_are_folded() -> None:
    """Operators on constants alone, as they appear when other passes make their inputs constant."""
    tensors = {
        "x": Tensor("x", (1, 3, 3, 2)),
        "k": Tensor("k", (1, 1, 1, 2), np.array([[[[-1.0, 4.0]]]], np.float32)),
        **{name: Tensor(name, (1, 1, 1, 2)) for name in ("r", "s")},
        "y": Tensor("y", (1, 3, 3, 2)),
    }
    steps = (
        ops.Unary(name="relu", inputs=("k",), outputs=("r",), function="clamp", alpha=0.0, beta=np.inf),
        ops.Add(name="twice", inputs=("r", "r"), outputs=("s",)),
        ops.Mul(name="product", inputs=("x", "s"), outputs=("y",)),
    )
    graph = fold_constants(Graph("constants", ("x",), ("y",), steps, tensors))
    assert [op.name for op in graph.ops] == ["product"]
    folded = graph.tensor("s").data
    assert folded is not None
    np.testing.assert_array_equal(folded, [[[[0.0, 8.0]]]])
