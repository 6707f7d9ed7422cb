"""Which tensors share quantization parameters, and which are fixed by their function."""

from __future__ import annotations

import numpy as np
import pytest

from quantmcu.ir import Graph, QParams, Tensor, ops
from quantmcu.quant import Calibration, TensorStatistics, quantize
from quantmcu.quant.histogram import StreamingHistogram

SHAPE = (1, 4, 4, 2)


def conv(name: str, source: str, output: str) -> ops.Conv2D:
    weight = np.full((2, 1, 1, 2), 0.5, np.float32)
    return ops.Conv2D(name=name, inputs=(source,), outputs=(output,), weight=weight, bias=np.zeros(2, np.float32))


def graph_of(*operators: ops.Op, outputs: tuple[str, ...], constants: tuple[Tensor, ...] = ()) -> Graph:
    """A graph with input x; shapes don't matter here."""
    names = dict.fromkeys(["x", *(name for op in operators for name in (*op.inputs, *op.outputs))])
    tensors = {name: Tensor(name, SHAPE) for name in names} | {tensor.name: tensor for tensor in constants}
    return Graph("g", ("x",), outputs, operators, tensors)


def calibration(**ranges: tuple[float, float]) -> Calibration:
    """Min-max statistics."""
    statistics = {}
    for name, (low, high) in ranges.items():
        histogram = StreamingHistogram()
        histogram.add(np.array([low, high], np.float32))
        statistics[name] = TensorStatistics(histogram, np.full(2, low), np.full(2, high), np.zeros(2))
    return Calibration(statistics, 1, "minmax")


def qparams(graph: Graph, name: str) -> QParams:
    found = graph.tensor(name).qparams
    assert found is not None
    return found


def test_moves_share_the_union_of_their_ranges() -> None:
    graph = graph_of(
        conv("c", "x", "a"),
        ops.MaxPool(name="p", inputs=("a",), outputs=("b",), kernel=(2, 2)),
        ops.Reshape(name="r", inputs=("b",), outputs=("d",)),
        outputs=("d",),
    )
    quantized = quantize(graph, calibration(x=(-1, 1), a=(-2, 3), b=(0, 3), d=(0, 3.5)))
    assert qparams(quantized, "a") == qparams(quantized, "b") == qparams(quantized, "d")
    assert qparams(quantized, "a").scale == pytest.approx(5.5 / 255)
    assert qparams(quantized, "x").scale == pytest.approx(2 / 255)


def test_padding_value_lies_in_the_range() -> None:
    pad = ops.Pad(name="p", inputs=("x",), outputs=("y",), before=(0, 1, 1, 0), after=(0, 1, 1, 0), value=-4.0)
    quantized = quantize(graph_of(pad, outputs=("y",)), calibration(x=(0, 1), y=(0, 1)))
    assert qparams(quantized, "x").range[0] == pytest.approx(-4, abs=0.02)


def test_concat_inputs_without_other_use_take_the_output() -> None:
    concat = ops.Concat(name="cat", inputs=("a", "b"), outputs=("y",), axis=3)
    graph = graph_of(conv("c1", "x", "a"), conv("c2", "x", "b"), concat, outputs=("y",))
    given = calibration(x=(-1, 1), a=(0, 1), b=(0, 8), y=(0, 8))
    quantized = quantize(graph, given)
    assert qparams(quantized, "a") == qparams(quantized, "b") == qparams(quantized, "y")

    graph = graph_of(conv("c1", "x", "a"), conv("c2", "x", "b"), concat, conv("c3", "a", "z"), outputs=("y", "z"))
    quantized = quantize(graph, calibration(x=(-1, 1), a=(0, 1), b=(0, 8), y=(0, 8), z=(0, 1)))
    assert qparams(quantized, "a").scale == pytest.approx(1 / 255)  # read by c3 too: keeps its finer scale
    assert qparams(quantized, "b") == qparams(quantized, "y")


def test_concat_of_concats_and_of_pools_is_one_group() -> None:
    graph = graph_of(
        conv("c1", "x", "a"),
        conv("c2", "x", "b"),
        ops.MaxPool(name="p", inputs=("b",), outputs=("bp",), kernel=(1, 1)),
        ops.Concat(name="k1", inputs=("a", "bp"), outputs=("ab",), axis=3),
        conv("c3", "x", "c"),
        ops.Concat(name="k2", inputs=("ab", "c"), outputs=("y",), axis=3),
        outputs=("y",),
    )
    names = ("a", "b", "bp", "ab", "c", "y")
    quantized = quantize(graph, calibration(x=(-1, 1), **{name: (0, index + 1) for index, name in enumerate(names)}))
    assert len({qparams(quantized, name) for name in names}) == 1


def test_known_functions_have_fixed_parameters() -> None:
    graph = graph_of(
        ops.Unary(name="s", inputs=("x",), outputs=("a",), function="sigmoid"),
        ops.Unary(name="t", inputs=("x",), outputs=("b",), function="tanh"),
        ops.Softmax(name="m", inputs=("x",), outputs=("c",)),
        ops.Concat(name="k", inputs=("a", "b"), outputs=("y",), axis=3),
        outputs=("y", "c"),
    )
    quantized = quantize(graph, calibration(x=(-9, 9), a=(0, 0.4), b=(-0.1, 0.1), c=(0, 0.3), y=(-0.1, 0.4)))
    assert qparams(quantized, "a") == QParams(8, 1 / 256, 0)
    assert qparams(quantized, "b") == QParams(8, 1 / 128, 128)
    assert qparams(quantized, "c") == QParams(8, 1 / 256, 0)
    assert qparams(quantized, "y").scale == pytest.approx(0.5 / 255)  # sigmoid and tanh differ: joined by rescaling


def test_concat_of_sigmoids_is_a_copy() -> None:
    graph = graph_of(
        ops.Unary(name="s", inputs=("x",), outputs=("a",), function="sigmoid"),
        ops.Unary(name="t", inputs=("x",), outputs=("b",), function="hard_sigmoid", alpha=0.2, beta=0.5),
        ops.Concat(name="k", inputs=("a", "b"), outputs=("y",), axis=3),
        outputs=("y",),
    )
    quantized = quantize(graph, calibration(x=(-9, 9), a=(0, 0.4), b=(0, 0.1), y=(0, 0.4)))
    assert qparams(quantized, "y") == QParams(8, 1 / 256, 0)


def test_constants_indices_and_given_parameters() -> None:
    constant = Tensor("k", (1, 1, 1, 2), np.array([[[[0.5, 2.0]]]], np.float32))
    index = Tensor("i", (1, 4, 4), is_index=True)
    graph = graph_of(
        ops.Mul(name="m", inputs=("x", "k"), outputs=("y",)),
        ops.ArgMax(name="a", inputs=("y",), outputs=("i",)),
        outputs=("i",),
        constants=(constant, index),
    )
    given = QParams(8, 1.0, 0)
    graph = graph.with_tensors([Tensor("x", SHAPE, qparams=given)])
    quantized = quantize(graph, calibration(x=(0, 9), y=(0, 18)))
    assert qparams(quantized, "x") == given
    assert qparams(quantized, "k").dequantize(qparams(quantized, "k").quantize(constant.data)).flat[1] == 2.0
    assert quantized.tensor("i").qparams is None


def test_bits_by_name() -> None:
    graph = graph_of(conv("c1", "x", "a"), conv("c2", "a", "y"), outputs=("y",))
    quantized = quantize(
        graph, calibration(x=(0, 1), a=(0, 1), y=(0, 1)), weight_bits={"c1": 4}, activation_bits={"a": 2}
    )
    assert [qparams(quantized, name).bits for name in ("x", "a", "y")] == [8, 2, 8]
    bits = [op.quantized.bits for op in quantized.ops if isinstance(op, ops.Conv2D) and op.quantized]
    assert bits == [4, 8]
