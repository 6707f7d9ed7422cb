"""What comes before quantization: equalized channels, and ranges by the measured movement of the outputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_networks import outputs_of, residual_network

from quantmcu.data import Dataset
from quantmcu.export import export_onnx
from quantmcu.ir import Graph, ops
from quantmcu.progress import SilentProgress, StageClock
from quantmcu.quant import calibrate, compare, quantize
from quantmcu.quant.equalize import channel_extremes, equalize
from quantmcu.quant.prepare import prepare
from quantmcu.quant.range_search import search_ranges
from quantmcu.quant.ranges import qparams_of_range
from quantmcu.quant.tails import tails


def uneven_network(activation: ops.Clamp) -> Graph:
    """The small network with channels of very different sizes behind the first layers, read by a depthwise one only."""
    graph = residual_network()
    sizes = np.geomspace(0.02, 2, 8).astype(np.float32)

    def changed(op: ops.Op) -> ops.Op:
        if isinstance(op, ops.Conv2D) and op.name in ("stem", "depthwise"):
            weight, bias = op.weight * sizes[:, None, None, None], op.bias * sizes
            return replace(op, weight=weight, bias=bias, activation=activation)
        return replace(op, inputs=("c", "c")) if isinstance(op, ops.Add) else op

    return graph.with_ops(changed(op) for op in graph.ops)


def deviation(wanted: Graph, got: Graph, dataset: Dataset, *, qdq: bool = False) -> float:
    """Signal to noise ratio in decibels."""
    float_outputs = outputs_of(export_onnx(wanted), dataset)
    report = compare(float_outputs, outputs_of(export_onnx(got, qdq=qdq), dataset), ["y"])
    return report.outputs[0].sqnr_db or np.inf


@pytest.mark.parametrize("activation", [ops.Clamp(low=0.0), ops.Clamp(0.0, 6.0)], ids=["relu", "relu6"])
def test_equalization_keeps_the_function_on_what_calibration_saw(
    activation: ops.Clamp, varied_images: Dataset
) -> None:
    graph = uneven_network(activation)
    extremes = channel_extremes(graph, varied_images)
    equalized = equalize(graph, extremes)
    assert deviation(graph, equalized, varied_images) > 100
    before, after = extremes["a"], channel_extremes(equalized, varied_images)["a"]
    assert after.min() / after.max() > 2 * before.min() / before.max()


def test_a_bound_stays_below_the_original_one(varied_images: Dataset) -> None:
    graph = uneven_network(ops.Clamp(0.0, 6.0))
    equalized = equalize(graph, channel_extremes(graph, varied_images.take(3)))
    loud = varied_images.inputs(0)["x"] * 50
    values = {}
    for which in (graph, equalized):
        inner = replace(which, outputs=("a",), output_layouts=()).with_ops(which.ops[:1])
        session_outputs = outputs_of(export_onnx(inner), [type("S", (), {"inputs": {"x": loud}})])
        values[which] = session_outputs[0][0]
    scales = original_over_scaled(graph, equalized)
    assert (values[equalized] * scales <= 6 + 1e-4).all()


def original_over_scaled(graph: Graph, equalized: Graph) -> np.ndarray:
    """What the channels of the stem's output were divided by."""
    first, second = graph.ops[0], equalized.ops[0]
    assert isinstance(first, ops.Conv2D)
    assert isinstance(second, ops.Conv2D)
    return (np.abs(first.weight).sum((1, 2, 3)) / np.abs(second.weight).sum((1, 2, 3)))  # NHWC


def test_equalized_channels_quantize_better(varied_images: Dataset) -> None:
    graph = uneven_network(ops.Clamp(low=0.0))
    plain = quantize(graph, calibrate(graph, varied_images))
    clock = StageClock(SilentProgress())
    prepared = prepare(graph, varied_images, clock=clock)
    better = quantize(prepared.graph, prepared.calibration)
    assert deviation(graph, better, varied_images, qdq=True) > deviation(graph, plain, varied_images, qdq=True)
    assert set(clock.seconds) == {"calibrate", "ranges"}


def test_search_clips_what_the_outputs_do_not_need(varied_images: Dataset) -> None:
    """A rare huge value that only a saturating layer reads: the measured range leaves it out."""
    graph = residual_network()

    def changed(op: ops.Op) -> ops.Op:
        if isinstance(op, ops.Conv2D) and op.name == "project":
            return replace(op, activation=ops.Clamp(-0.05, 0.05))
        return op

    graph = graph.with_ops(changed(op) for op in graph.ops)
    calibration = calibrate(graph, varied_images)
    searched = search_ranges(graph, calibration, varied_images, limit=8)
    assert set(searched.chosen) == {(name, 8) for name in graph.tensors}
    for tail in tails(graph, varied_images.take(8), list(graph.tensors)):
        movements = []
        for found in (calibration, searched):
            qparams = qparams_of_range(*found.range(graph.tensor(tail.name), 8), 8)
            movements.append(
                tail.movement(lambda i, t=tail, q=qparams: q.dequantize(q.quantize(t.samples[i][t.name])))
            )
        assert movements[1] <= movements[0]
    assert calibration.chosen == {}


def test_tails_end_before_probabilities_and_start_anywhere(varied_images: Dataset) -> None:
    graph = residual_network()
    softmax = ops.Softmax(name="softmax", inputs=("y",), outputs=("p",))
    tensors = [replace(graph.tensor("y"), name="p")]
    graph = replace(graph, outputs=("p",)).with_ops((*graph.ops, softmax), tensors)
    seen = []
    for tail in tails(graph, varied_images.take(4), ["x", "a", "d", "y"]):
        seen.append(tail.name)
        assert tail.movement(lambda i, t=tail: t.samples[i][t.name]) < 1e-10
        assert tail.movement(lambda i, t=tail: t.samples[i][t.name] * 0) > 0.1
        if tail.name == "y":  # of all scores made twice as large: as much noise as signal
            assert tail.movement(lambda i, t=tail: 2 * t.samples[i][t.name]) == pytest.approx(1)
    assert seen == ["x", "a", "d", "y"]


def test_a_movement_beyond_a_limit_is_given_up(varied_images: Dataset) -> None:
    (tail,) = tails(residual_network(), varied_images.take(16), ["a"])
    changed: list[int] = []

    def zeros(sample: int) -> np.ndarray:
        changed.append(sample)
        return tail.samples[sample]["a"] * 0

    whole = tail.movement(zeros)
    assert tail.movement(zeros, beyond=whole) == whole
    changed.clear()
    assert whole / 8 < tail.movement(zeros, beyond=whole / 8) < whole
    assert len(changed) < 16
