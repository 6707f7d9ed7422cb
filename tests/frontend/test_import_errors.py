"""Bad models: each is refused with a message that says what, where, why and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from quantmcu.errors import ExitStatus, ProblemListError, QuantMCUError, UsageError
from quantmcu.frontend import load_onnx, read_network
from tests.onnx_models import make_model, node


def normal(*shape: int) -> np.ndarray[Any, Any]:
    """Random values, always the same."""
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


def conv_model(**changes: Any) -> onnx.ModelProto:
    """A convolution and a Relu."""
    nodes = [node("Conv", ["x", "w"], "c"), node("Relu", ["c"], "y")]
    return make_model(nodes, {"x": changes.pop("shape", [1, 2, 4, 4])}, ["y"], {"w": normal(3, 2, 3, 3)}, **changes)


def problem(model: onnx.ModelProto) -> QuantMCUError:
    """The only problem of a model that cannot be compiled."""
    with pytest.raises(ProblemListError) as caught:
        load_onnx(model)
    (only,) = caught.value.problems
    return only


def assert_words(text: object, *words: str) -> None:
    """All words occur in the text."""
    missing = [word for word in words if word not in str(text)]
    assert not missing, f"{missing} not in: {text}"


# -- files ----------------------------------------------------------------------------------------------------------


def test_missing_file(tmp_path: Path) -> None:
    """Status 2."""
    with pytest.raises(UsageError, match="there is no such file") as caught:
        load_onnx(tmp_path / "none.onnx")
    assert caught.value.status == ExitStatus.USAGE
    assert "none.onnx" in caught.value.where


def test_folder_instead_of_a_file(tmp_path: Path) -> None:
    """Says that it is a folder."""
    with pytest.raises(UsageError, match="folder"):
        load_onnx(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"PK\x03\x04 not a model",
        lambda data: b"\x89PNG" * 50,
    ],
    ids=("truncated", "empty", "zip", "png"),
)
def test_file_that_is_not_onnx(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """Truncated, empty, or another format."""
    path = tmp_path / "model.onnx"
    path.write_bytes(damage(conv_model().SerializeToString()))
    with pytest.raises(UsageError, match="not a complete ONNX file") as caught:
        load_onnx(path)
    assert_words(caught.value, str(path), "truncated", "export the model again")


def external_model(folder: Path, location: str) -> Path:
    """A model whose weights lie in the file `location`."""
    model = conv_model()
    (weights,) = model.graph.initializer
    weights.data_location = TensorProto.EXTERNAL
    content = weights.raw_data
    weights.ClearField("raw_data")
    for key, value in (("location", location), ("offset", "0"), ("length", str(len(content)))):
        weights.external_data.add(key=key, value=value)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    target = folder / location
    if target.resolve().is_relative_to(folder.resolve()):
        target.write_bytes(content)
    return path


def test_external_data_beside_the_model_are_read(tmp_path: Path) -> None:
    """The control for the two tests below."""
    graph = load_onnx(external_model(tmp_path, "weights.bin"))
    np.testing.assert_array_equal(graph.ops[0].weight, normal(3, 2, 3, 3).transpose(0, 2, 3, 1))


def test_missing_external_data(tmp_path: Path) -> None:
    """Names the initializer and the file."""
    path = external_model(tmp_path, "weights.bin")
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ProblemListError) as caught:
        load_onnx(path)
    assert_words(caught.value, "initializer w", "'weights.bin'", "missing", "copy weights.bin into the folder")


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "a/../../weights.bin"])
def test_external_data_outside_the_folder(tmp_path: Path, location: str) -> None:
    """A model must not read other files."""
    (tmp_path / "in").mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(3 * 2 * 9 * 4))
    with pytest.raises(ProblemListError) as caught:
        load_onnx(external_model(tmp_path / "in", location))
    assert_words(caught.value, "initializer w", "outside the model's folder", location)


def test_external_data_that_are_too_short(tmp_path: Path) -> None:
    """A truncated data file."""
    path = external_model(tmp_path, "weights.bin")
    (tmp_path / "weights.bin").write_bytes(b"123")
    with pytest.raises(QuantMCUError):
        load_onnx(path)


@pytest.mark.parametrize("name", ["model.tflite", "model.keras"])
def test_tensorflow_models_need_the_extra(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "tf2onnx", None)
    (tmp_path / name).write_bytes(b"model")
    with pytest.raises(UsageError) as caught:
        read_network(tmp_path / name)
    assert_words(caught.value, "tf2onnx", "not installed", "pip install 'quantmcu[tensorflow]'")


# -- structure ------------------------------------------------------------------------------------------------------


def test_cycle() -> None:
    """Names the nodes of the cycle."""
    model = conv_model()
    model.graph.node[0].input[0] = "y"
    with pytest.raises(QuantMCUError, match="the graph has a cycle") as caught:
        load_onnx(model)
    assert_words(caught.value.where, "c_node", "y_node", "->")


def test_dangling_input() -> None:
    """Names node and tensor."""
    model = conv_model()
    model.graph.node[1].input[0] = "nowhere"
    with pytest.raises(QuantMCUError, match="it reads nowhere, which nothing computes") as caught:
        load_onnx(model)
    assert "y_node (Relu)" in caught.value.where


def test_dangling_output() -> None:
    """An output that nothing computes."""
    model = conv_model()
    model.graph.output[0].name = "nowhere"
    with pytest.raises(QuantMCUError, match="nothing computes the outputs nowhere"):
        load_onnx(model)


def test_value_written_twice() -> None:
    """Two nodes with one output."""
    model = conv_model()
    model.graph.node.append(node("Relu", ["x"], "c"))
    with pytest.raises(QuantMCUError, match="it writes c, which is"):
        load_onnx(model)


def test_nodes_in_any_order() -> None:
    """Unsorted graphs are sorted, not refused."""
    model = conv_model()
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    assert [op.name for op in load_onnx(model).ops] == ["c_node", "y_node"]


@pytest.mark.parametrize(("opset", "words"), [(9, ("opset 9", "opsets 11 to")), (999, ("opset 999", "update onnx"))])
def test_opset_out_of_range(opset: int, words: tuple[str, ...]) -> None:
    """Says the range and how to convert."""
    model = conv_model()
    model.opset_import[0].version = opset
    with pytest.raises(QuantMCUError) as caught:
        load_onnx(model)
    assert_words(caught.value, *words, "opset_version=17")


def test_dynamic_size_names_input_and_axis() -> None:
    """Only the batch may be open."""
    model = conv_model(shape=["n", 2, "height", 4])
    assert_words(problem(model), "input x", "axis 2 is dynamic (height)", "make_dynamic_shape_fixed", "--input_name x")


def test_symbolic_batch_becomes_one() -> None:
    """So do batches of 0 and without any size."""
    for batch in ("n", 0):
        assert load_onnx(conv_model(shape=[batch, 2, 4, 4])).tensor("x").shape == (1, 4, 4, 2)


def test_batch_of_eight() -> None:
    """Refused with the remedy."""
    assert_words(problem(conv_model(shape=[8, 2, 4, 4])), "input x", "batch (axis 0) is 8", "export with batch 1")


def test_zero_sized_axis() -> None:
    """An input without elements."""
    model = make_model([node("Relu", ["x"], "y")], {"x": [1, 4, 4, 2]}, ["y"])
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 0
    assert_words(problem(model), "input x", "has no elements")


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.UINT8, TensorProto.DOUBLE])
def test_input_of_another_type(kind: int) -> None:
    """Names the type."""
    model = conv_model()
    model.graph.input[0].type.tensor_type.elem_type = kind
    assert_words(problem(model), "input x", TensorProto.DataType.Name(kind).lower(), "export the float32 model")


# -- operators ------------------------------------------------------------------------------------------------------


def test_everything_unsupported_is_reported_at_once() -> None:
    """With node, operator, opset, attribute, reason and remedy for each."""
    nodes = [
        node("LSTM", ["x", "w3", "r3"], "lstm", hidden_size=3),
        node("Det", ["sq"], "det"),
        node("MaxPool", ["img"], "pool", "indices", kernel_shape=[2, 2]),
        node("AveragePool", ["img"], "avg", kernel_shape=[2, 2], dilations=[2, 2]),
    ]
    model = make_model(
        nodes, {"x": [1, 1, 2], "sq": [1, 2, 2], "img": [1, 1, 5, 5]}, ["det", "pool", "avg", "lstm"],
        {"w3": normal(1, 12, 2), "r3": normal(1, 12, 3)}, 19,
    )  # fmt: skip
    model.graph.node[1].name = ""
    with pytest.raises(ProblemListError) as caught:
        load_onnx(model)
    text = str(caught.value)
    assert len(caught.value.problems) == 4
    assert caught.value.status == ExitStatus.CANNOT_COMPILE
    assert_words(
        text, "node lstm_node (LSTM), opset 19", "node 1 (Det, output det)", "the operator is not supported",
        "node pool_node (MaxPool), opset 19, indices: the output Indices is not supported",
        "dilations = (2, 2)", "use dilations of 1", "quantmcu ops",
    )  # fmt: skip


def test_nodes_behind_an_unsupported_one_are_checked_too() -> None:
    """Their operators at least."""
    nodes = [node("Det", ["x"], "a"), node("Relu", ["a"], "b"), node("LpNormalization", ["b"], "y")]
    with pytest.raises(ProblemListError) as caught:
        load_onnx(make_model(nodes, {"x": [1, 2, 2]}, ["y"], opset=18))
    assert [p.where.split(" (")[1].split(")")[0] for p in caught.value.problems] == ["Det", "LpNormalization"]


def test_foreign_domain() -> None:
    """Custom operators."""
    model = conv_model()
    model.graph.node[1].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    assert_words(problem(model), "y_node", "domain 'com.example'", "standard ONNX domain")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(value: float) -> None:
    """Names node and initializer."""
    weights = normal(3, 2, 3, 3)
    weights[1, 1, 1, 1] = value
    model = conv_model()
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "w"))
    assert_words(problem(model), "c_node (Conv)", "input 1 (w)", "1 of 54 values", "NaN or infinite")


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.int8])
def test_weights_of_another_type(kind: type) -> None:
    """Names the type and what to do."""
    model = conv_model()
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(normal(3, 2, 3, 3).astype(kind), "w"))
    assert_words(problem(model), "input 1 (w)", f"the type {np.dtype(kind)}", "convert the model to float32")


def test_product_of_two_activations() -> None:
    """Attention."""
    model = make_model([node("MatMul", ["x", "z"], "y")], {"x": [1, 2, 3], "z": [1, 3, 2]}, ["y"])
    assert_words(problem(model), "y_node (MatMul)", "product of two activations", "x, z")


def test_quantized_model() -> None:
    """The float model is wanted."""
    nodes = [node("QuantizeLinear", ["x", "s", "z"], "q"), node("DequantizeLinear", ["q", "s", "z"], "y")]
    constants = {"s": np.array(0.1, np.float32), "z": np.array(3, np.uint8)}
    with pytest.raises(ProblemListError) as caught:
        load_onnx(make_model(nodes, {"x": [1, 4]}, ["y"], constants))
    assert_words(caught.value, "q_node", "already quantized", "export the float model")


ONES: dict[str, list[Any]] = {name: [1.0] for name in "abcd"}
LIMITS: list[tuple[str, list[str], dict[str, Any], list[int], dict[str, list[Any]], str]] = [
    ("Slice", ["x", "a", "b", "c", "d"], {}, [1, 4], {"a": [-1], "b": [-9], "c": [1], "d": [-1]}, "positive steps"),
    ("Pad", ["x", "a"], {}, [1, 4], {"a": [0, -1, 0, 0]}, "negative padding"),
    ("Softmax", ["x"], {"axis": 5}, [1, 4], {}, "axis = 5"),
    ("Reshape", ["x", "a"], {}, [1, 4], {"a": [1, 3]}, "[1, 4] cannot become [1, 3]"),
    ("Concat", ["x", "x"], {"axis": 0}, [1, 4], {}, "joins along the batch"),
    ("Cast", ["x"], {"to": TensorProto.INT32}, [1, 4], {}, "to = 6"),
    ("Resize", ["x", "", "s"], {"mode": "cubic"}, [1, 2, 4, 4], {"s": [1.0, 1, 2, 2]}, "mode = cubic"),
    ("Resize", ["x", "", "s"], {}, [1, 2, 4, 4], {"s": [1.0, 2, 2, 2]}, "only height and width"),
    ("Conv", ["x", "w"], {}, [1, 1, 4, 4, 4], {"w": [[[[[1.0]]]]]}, "3-D convolution"),
    ("Relu", ["x"], {"alpha": 1.0}, [1, 4], {}, "alpha = 1.0"),
    ("Mul", ["x", "s"], {}, [1, 4], {"s": [float("nan")]}, "1 of 1 values of the constant are NaN"),
    ("Div", ["x", "s"], {}, [1, 4], {"s": [0.0]}, "divisor contains 0"),
    ("ConvTranspose", ["x", "w"], {"dilations": [2, 2]}, [1, 1, 4, 4], {"w": [[[[1.0]]]]}, "dilations = [2, 2]"),
    ("ConvTranspose", ["x", "w"], {"pads": [2] * 4}, [1, 1, 9, 9], {"w": [[[[1.0]]]]}, "pad by less than the kernel"),
    ("DepthToSpace", ["x"], {"blocksize": 2}, [1, 6, 4, 4], {}, "6 channels can't become blocks of 2x2"),
    ("SpaceToDepth", ["x"], {"blocksize": 2}, [1, 6, 3, 4], {}, "3x4 pixels can't be divided"),
    ("TopK", ["x", "a"], {}, [1, 4], {"a": [1]}, "take the scores as output, or ArgMax"),
    ("Pow", ["x", "s"], {}, [1, 4], {"s": [-1.0]}, "the exponent is [-1.0]"),
    ("Max", ["x", "x"], {}, [1, 4], {}, "2 operands are computed by the network"),
    ("Min", ["x", "s"], {}, [1, 2], {"s": [1.0, 2.0]}, "the bound has the shape [2]"),
    ("Celu", ["x"], {"alpha": 0.0}, [1, 4], {}, "alpha has to be positive"),
    ("Gelu", ["x"], {"approximate": "tanh"}, [1, 4], {}, "approximate = tanh"),
    (
        "BatchNormalization",
        ["x", *"abcd"],
        {"training_mode": 1},
        [1, 1],
        ONES,
        "inference mode",
    ),
    ("ArgMax", ["x"], {"axis": 1, "select_last_index": 1}, [1, 4], {}, "select_last_index = 1"),
    ("PRelu", ["x", "s"], {}, [1, 2, 2], {"s": [[1.0, 2.0], [3.0, 4.0]]}, "one slope, or one per channel"),
]


@pytest.mark.parametrize(("operator", "inputs", "attributes", "shape", "constants", "words"), LIMITS)
def test_limits_of_operators(
    operator: str,
    inputs: list[str],
    attributes: dict[str, Any],
    shape: list[int],
    constants: dict[str, list[Any]],
    words: str,
) -> None:
    """Each limit says what it is, and every message has a hint."""
    arrays = {
        name: np.array(values, np.int64 if all(isinstance(value, int) for value in values) else np.float32)
        for name, values in constants.items()
    }
    graph = helper.make_graph(
        [node(operator, inputs, "y", **attributes)],
        "limits",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(values, name) for name, values in arrays.items()],
    )
    found = problem(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]))
    assert_words(found, f"y_node ({operator})", "opset 20", words)
    assert found.hint


def test_window_larger_than_the_map() -> None:
    """A malformed model is a problem of its node."""
    model = conv_model()
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 2, 2]))
    assert_words(problem(model), "c_node (Conv)", "window of 3x3 does not fit")


def test_computing_with_the_result_of_arg_max() -> None:
    """Indices can only leave the network."""
    nodes = [node("ArgMax", ["x"], "i", axis=1), node("Cast", ["i"], "f", to=TensorProto.FLOAT)]
    assert_words(problem(make_model(nodes, {"x": [1, 4]}, ["f"])), "to = 1", "f_node (Cast)")


def test_output_that_is_constant() -> None:
    """Nothing to compute."""
    model = make_model(
        [node("Relu", ["x"], "y"), node("Relu", ["k"], "z")], {"x": [1, 2]}, ["y", "z"], {"k": normal(2)}
    )
    with pytest.raises(QuantMCUError, match="it is a constant") as caught:
        load_onnx(model)
    assert caught.value.where == "output z"


def test_model_without_inputs() -> None:
    """Only constants."""
    assert_words(
        problem(make_model([node("Relu", ["k"], "y")], {}, ["y"], {"k": normal(2)})), "the model has no inputs"
    )
