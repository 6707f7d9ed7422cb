"""The verifier finds inconsistent graphs, and says which operator and what differs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from quantmcu.frontend import load_onnx
from quantmcu.ir import Graph, Tensor, ops, shapes
from quantmcu.ir.dump import dump
from quantmcu.ir.macs import graph_macs, graph_parameters, op_macs
from quantmcu.ir.verify import verify


def two_layers() -> Graph:
    """A convolution and a pooling."""
    conv = ops.Conv2D(
        name="conv", inputs=("x",), outputs=("c",), weight=np.ones((4, 3, 3, 2), np.float32),
        bias=np.zeros(4, np.float32), pads=(1, 1, 1, 1),
    )  # fmt: skip
    pool = ops.MaxPool(name="pool", inputs=("c",), outputs=("y",), kernel=(2, 2), strides=(2, 2))
    tensors = {"x": Tensor("x", (1, 6, 6, 2)), "c": Tensor("c", (1, 6, 6, 4)), "y": Tensor("y", (1, 3, 3, 4))}
    return Graph("two", ("x",), ("y",), (conv, pool), tensors)


def test_a_good_graph_passes() -> None:
    """The control for the tests below."""
    verify(two_layers())


def changed(**changes: Any) -> Graph:
    """The good graph with tensors or operators replaced by name."""
    graph = two_layers()
    swapped = [replace(op, **changes.get(op.name, {})) for op in graph.ops]
    tensors = {name: replace(tensor, **changes.get(f"tensor_{name}", {})) for name, tensor in graph.tensors.items()}
    return replace(graph, ops=tuple(swapped), tensors=tensors)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tensor_c": {"shape": (1, 5, 6, 4)}}, "Conv2D conv: output c has the shape \\(1, 5, 6, 4\\)"),
        ({"conv": {"bias": np.zeros(3, np.float32)}}, "Conv2D conv: bias"),
        ({"conv": {"groups": 2}}, "Conv2D conv: weights"),
        ({"pool": {"pads": (2, 0, 0, 0)}}, "MaxPool pool: output"),
        ({"pool": {"kernel": (9, 9)}}, "does not fit"),
        ({"pool": {"name": "conv"}}, "two operators are called conv"),
        ({"pool": {"inputs": ("y",)}}, "MaxPool pool: reads y before anything writes it"),
        ({"pool": {"inputs": ("c", "x")}}, "2 inputs"),
        ({"conv": {"outputs": ("x",)}}, "writes x, which is an input"),
        ({"conv": {"activation": ops.Clamp(1.0, 0.0)}}, "activation"),
        ({"tensor_y": {"is_index": True}}, "is_index"),
        ({"tensor_x": {"shape": (1, 0, 6, 2)}}, "no elements"),
    ],
)
def test_each_inconsistency_is_found(changes: dict[str, Any], words: str) -> None:
    """One change at a time."""
    with pytest.raises(ValueError, match=words):
        verify(changed(**changes))


def test_unused_tensor_and_layout_are_found() -> None:
    """What no operator shows."""
    graph = two_layers()
    with pytest.raises(ValueError, match="nothing uses the tensor z"):
        verify(replace(graph, tensors={**graph.tensors, "z": Tensor("z", (1, 2))}))
    with pytest.raises(ValueError, match="layout"):
        verify(replace(graph, input_layouts=((0, 1, 2),)))


def test_every_operator_class_has_a_shape_rule() -> None:
    """A new class without a rule would only show at its first use."""
    classes = [
        kind
        for kind in vars(ops).values()
        if isinstance(kind, type) and issubclass(kind, ops.Op) and kind is not ops.Op
    ]
    assert len(classes) > 15
    assert set(classes) == set(shapes._RULES)


def test_macs_and_parameters() -> None:
    """Counted by hand."""
    graph = two_layers()
    assert [op_macs(op, graph) for op in graph.ops] == [6 * 6 * 4 * 3 * 3 * 2, 0]
    assert graph_macs(graph) == 2592
    assert graph_parameters(graph) == 4 * 3 * 3 * 2 + 4


def test_dump() -> None:
    """The text is complete and the same each time."""
    assert dump(two_layers()) == (
        "graph two\n"
        "input x[1, 6, 6, 2]\n"
        "output y[1, 3, 3, 4]\n"
        "c[1, 6, 6, 4] = Conv2D(x, weight=float32[4, 3, 3, 2], bias=float32[4], strides=(1, 1), dilations=(1, 1), "
        "pads=(1, 1, 1, 1), groups=1)  # conv\n"
        "y[1, 3, 3, 4] = MaxPool(c, kernel=(2, 2), strides=(2, 2), dilations=(1, 1), pads=(0, 0, 0, 0))  # pool\n"
    )


def test_load_onnx_is_deterministic() -> None:
    """Two imports of one model give the same text."""
    from tests.onnx_models import make_model, node

    nodes = [node("Conv", ["x", "w"], "c"), node("Flatten", ["c"], "f"), node("Relu", ["c"], "r")]
    model = make_model(nodes, {"x": [1, 2, 4, 4]}, ["f", "r"], {"w": np.ones((3, 2, 2, 2), np.float32)})
    assert dump(load_onnx(model)) == dump(load_onnx(model))
