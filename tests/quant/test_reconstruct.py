"""Reconstruction: derivatives against finite differences, the simulation against the reference, and what it gains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import grouped_network, residual_network

import quantmcu
from quantmcu.bitwidths import BitChooser, BitsRequest
from quantmcu.data import Dataset, input_specs, open_dataset
from quantmcu.errors import UsageError
from quantmcu.ir import Graph, QParams, Tensor, ops
from quantmcu.program.lower import lower
from quantmcu.quant import calibrate, quantize
from quantmcu.quant.reconstruct import can_reconstruct, reconstruct
from quantmcu.quant.reconstruct.boundaries import block_boundaries
from quantmcu.quant.reconstruct.convolution import apply_layer
from quantmcu.quant.reconstruct.derivatives import apply, has_derivative
from quantmcu.quant.reconstruct.parameters import LayerParameters
from quantmcu.quant.reconstruct.rounding import Rounding
from quantmcu.quant.reconstruct.simulation import Simulation
from quantmcu.quant.tails import section_runner
from quantmcu.reference import execute

NARROW = {"stem": 4, "project": 4, "scores": 4}
DEMO = Path(__file__).parents[2] / "demo"
Array = np.ndarray


def slope(function, x: Array, direction: Array) -> float:
    """Of `function(x)` along `direction`, by a central difference; exact where the function is linear."""
    step = 0.25
    return float((function(x + step * direction) - function(x - step * direction)) / (2 * step))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**16),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.tuples(*[st.integers(0, 2)] * 4),
    st.sampled_from(["dense", "depthwise", "grouped", "pointwise"]),
)
def test_derivatives_of_convolutions(
    seed: int, kernel: tuple[int, int], strides: tuple[int, int], pads: tuple[int, int, int, int], kind: str
) -> None:
    rng = np.random.default_rng(seed)
    kernel = (1, 1) if kind == "pointwise" else kernel
    groups, outputs = {"depthwise": (4, 4), "grouped": (2, 6)}.get(kind, (1, 3))
    weight = rng.standard_normal((outputs, *kernel, 4 // groups)).astype(np.float32)
    op = ops.Conv2D(
        name="c", inputs=("x",), outputs=("y",), weight=weight, bias=np.zeros(outputs, np.float32),
        strides=strides, pads=pads, groups=groups, dilations=(1, 2),
    )  # fmt: skip
    x = rng.standard_normal((2, 6, 7, 4)).astype(np.float32)
    y, backward = apply_layer(op, x, weight)
    graph = _one_operator(op, x.shape, y.shape)
    run_float = section_runner(graph, (op,), ("y",))
    np.testing.assert_allclose(y, np.concatenate([run_float({"x": part[None]})[0] for part in x]), atol=1e-4)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    dx, dweight = backward(dy, True)
    assert dx is not None
    for gradient, value, loss in (
        (dx, x, lambda v: np.sum(apply_layer(op, v, weight)[0] * dy, dtype=np.float64)),
        (dweight, weight, lambda v: np.sum(apply_layer(op, x, v)[0] * dy, dtype=np.float64)),
    ):
        direction = rng.standard_normal(value.shape).astype(np.float32)
        assert float(np.sum(gradient * direction)) == pytest.approx(slope(loss, value, direction), rel=1e-3, abs=1e-2)


def _one_operator(op: ops.Op, *shapes: tuple[int, ...]) -> Graph:
    """shapes: of its inputs and its output, with samples in place of the batch."""
    names = (*op.inputs, op.output)
    tensors = {name: Tensor(name, (1, *shape[1:])) for name, shape in zip(names, shapes, strict=True)}
    return Graph("one", op.inputs, (op.output,), (op,), tensors, (), ())


@pytest.mark.parametrize(
    ("op", "shapes"),
    [
        (ops.Add(name="o", inputs=("a", "b"), outputs=("y",)), [(4, 3, 5), (1, 1, 5), (4, 3, 5)]),
        (ops.Sub(name="o", inputs=("a", "b"), outputs=("y",)), [(4, 3, 5), (4, 3, 5), (4, 3, 5)]),
        (ops.Mul(name="o", inputs=("a", "b"), outputs=("y",)), [(4, 3, 5), (1, 1, 5), (4, 3, 5)]),
        (ops.Unary(name="o", inputs=("a",), outputs=("y",), function="hard_swish"), [(4, 3, 5), (4, 3, 5)]),
        (ops.Unary(name="o", inputs=("a",), outputs=("y",), function="sigmoid"), [(4, 3, 5), (4, 3, 5)]),
        (
            ops.AveragePool(name="o", inputs=("a",), outputs=("y",), kernel=(3, 2), strides=(2, 1), pads=(1, 0, 1, 1)),
            [(5, 4, 2), (3, 4, 2)],
        ),
        (ops.AveragePool(name="o", inputs=("a",), outputs=("y",), kernel=(5, 4)), [(5, 4, 2), (1, 1, 2)]),
        (ops.Concat(name="o", inputs=("a", "b"), outputs=("y",), axis=3), [(2, 2, 3), (2, 2, 1), (2, 2, 4)]),
        (
            ops.Pad(name="o", inputs=("a",), outputs=("y",), before=(0, 1, 0, 0), after=(0, 0, 2, 0)),
            [(2, 2, 3), (3, 4, 3)],
        ),
        (
            ops.Slice(
                name="o", inputs=("a",), outputs=("y",), starts=(0, 1, 0, 0), ends=(1, 4, 3, 3), steps=(1, 2, 1, 2)
            ),
            [(4, 3, 3), (2, 3, 2)],
        ),
        (ops.Reshape(name="o", inputs=("a",), outputs=("y",)), [(2, 3, 4), (24,)]),
        (ops.Transpose(name="o", inputs=("a",), outputs=("y",), permutation=(0, 3, 1, 2)), [(2, 3, 4), (4, 2, 3)]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, ops.Op) else "",
)
def test_derivatives_of_operators(op: ops.Op, shapes: list[tuple[int, ...]]) -> None:
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal((2, *shape)).astype(np.float32) for shape in shapes[:-1]]
    shape = (1, *shapes[-1])
    assert has_derivative(op)
    y, backward = apply(op, inputs, shape)
    run_float = section_runner(_one_operator(op, *[x.shape for x in inputs], shape), (op,), ("y",))
    expected = [run_float({name: x[i : i + 1] for name, x in zip(op.inputs, inputs, strict=True)})[0] for i in (0, 1)]
    np.testing.assert_allclose(y, np.concatenate(expected), atol=1e-5)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    for index, gradient in enumerate(backward(dy)):
        direction = rng.standard_normal(inputs[index].shape).astype(np.float32)

        def loss(step: float, index: int = index, direction: Array = direction) -> float:
            moved = [x + np.float32(step) * direction if i == index else x for i, x in enumerate(inputs)]
            return float(np.sum(apply(op, moved, shape)[0] * dy, dtype=np.float64))

        assert float(np.sum(gradient * direction)) == pytest.approx(
            (loss(0.01) - loss(-0.01)) / 0.02, rel=0.02, abs=0.02
        )


def test_gradients_pass_rounding_but_not_saturation() -> None:
    real = np.array([-1.0, 0.1, 0.9, 2.0, 7.0], np.float32)
    rounding = Rounding(real, QParams(4, 0.25, 0), ops.Clamp(0.0, 6.0), wanted=True)
    np.testing.assert_array_equal(rounding.rounded, np.float32([0, 0, 1.0, 2.0, 3.75]))  # 15 codes
    np.testing.assert_array_equal(rounding.activated, np.float32([0, 0.1, 0.9, 2.0, 6.0]))
    ones = np.ones(5, np.float32)
    np.testing.assert_array_equal(rounding.gradient(ones, None), [0, 1, 1, 1, 0])
    np.testing.assert_array_equal(rounding.gradient(ones, ones), [0, 2, 2, 2, 0])


@pytest.mark.parametrize("network", [residual_network, grouped_network])
def test_simulation_computes_what_the_reference_does(network, images: Dataset) -> None:
    """Within one code, which the rounding of multipliers can make."""
    graph = network()
    maps = {"b": 4, "c": 4}
    quantized = quantize(graph, calibrate(graph, images), weight_bits=NARROW, activation_bits=maps)
    parameters = {
        op.name: LayerParameters(op, QParams(8, 1.0, 0), weight_rate=0, gain_rate=0, bias_rate=0)
        for op in quantized.ops
        if isinstance(op, ops.Conv2D | ops.Dense)
    }
    samples = [images[index].inputs["x"].transpose(0, 2, 3, 1) for index in range(4)]
    found = Simulation(quantized, parameters).run({"x": np.concatenate(samples)}, ["y"], learn=False).reals["y"]
    program, qparams = lower(quantized), quantized.tensor("y").qparams
    assert qparams is not None
    source = quantized.tensor("x").qparams
    assert source is not None
    for sample, scores in zip(samples, found, strict=True):
        codes = execute(program, {"x": source.quantize(sample)})["y"]
        assert np.abs(qparams.quantize(scores[None]).astype(int) - codes.astype(int)).max() <= 1


def test_blocks_end_where_all_paths_meet() -> None:
    assert block_boundaries(residual_network()) == ("a", "d", "e", "f")


def test_reconstruction_is_closer_to_float_and_repeatable(varied_images: Dataset) -> None:
    graph = residual_network()
    quantized = quantize(graph, calibrate(graph, varied_images), weight_bits=NARROW, activation_bits={"b": 4, "c": 4})
    found = reconstruct(graph, quantized, varied_images, passes=6)
    assert found.improved
    assert found.sqnr_db_after > found.sqnr_db_before + 1
    assert (found.samples, found.held_back) == (50, 10)
    before, after = (
        {op.name: op.quantized for op in g.ops if hasattr(op, "quantized")} for g in (quantized, found.graph)
    )
    for name, weights in after.items():
        assert weights.bits == before[name].bits
        np.testing.assert_allclose(weights.scales, before[name].scales, rtol=0.2)
        assert np.abs(weights.codes).max() <= 2 ** (weights.bits - 1) - 1
    again = reconstruct(graph, quantized, varied_images, passes=6)
    for op, other in zip(found.graph.ops, again.graph.ops, strict=True):
        if isinstance(op, ops.Conv2D):
            np.testing.assert_array_equal(op.quantized.codes, other.quantized.codes)


def test_default_passes_end_early_where_nothing_is_gained(varied_images: Dataset) -> None:
    """The samples to learn from are all alike, and nothing like those that are held back."""
    graph = residual_network()
    quantized = quantize(graph, calibrate(graph, varied_images), weight_bits=NARROW)
    x = np.concatenate([sample.inputs["x"] for sample in varied_images])
    x[np.arange(len(x)) % 6 != 0] = 3.0
    alike = open_dataset(x, input_specs(graph))
    found = reconstruct(graph, quantized, alike)
    assert (found.improved, found.graph) == (False, quantized)
    assert found.passes == pytest.approx(6, abs=0.1), "half of 12"
    assert reconstruct(graph, quantized, alike, passes=8).passes == 8, "as many as were asked for"
    assert reconstruct(graph, quantized, varied_images).passes == 12, "where they gain something"


def test_what_cannot_be_reconstructed_says_why(images: Dataset) -> None:
    graph = grouped_network()
    assert can_reconstruct(graph, 50) is None
    assert can_reconstruct(graph, 15) == "it needs at least 16 calibration samples, there are 15"
    folded = replace(graph.tensor("y"), shape=(7, 1))
    reason = can_reconstruct(graph.with_tensors([folded]), 50)
    assert reason == "the output of scores has no batch axis in front"


def test_chosen_bits_are_reconstructed_where_asked_for(chooser: BitChooser) -> None:
    plain = chooser.choose(BitsRequest(weights="4"))
    found = chooser.choose(BitsRequest(weights="4", reconstruct="3"))
    assert "reconstruction" not in plain.search
    record = found.search["reconstruction"]
    assert (record["samples"], record["held_back"]) == (41, 9)
    assert found.weight_bits == plain.weight_bits
    assert "weights and biases reconstructed in 3.1 passes over 41 samples" in chooser.clock.notes[-1]
    assert chooser.choose(BitsRequest(weights="8", reconstruct="auto")).search == {}
    with pytest.raises(UsageError, match="unknown value 'much'"):
        BitsRequest(reconstruct="much")


@pytest.mark.slow
def test_the_demo_network_gains_from_it(tmp_path: Path) -> None:
    result = quantmcu.compile(
        DEMO / "cifar10_mobilenetv2.onnx", "nucleo-f767", calibration=DEMO / "calibration",
        preprocess=DEMO / "preprocess.toml", out=tmp_path / "out", weight_bits="4", reconstruct="2", build=False,
    )  # fmt: skip
    found = result.data["search"]["reconstruction"]
    assert found["improved"]
    assert (found["samples"], found["held_back"], found["barriers"]) == (83, 17, [])
    assert found["sqnr_db_after"] > found["sqnr_db_before"] + 0.5
    assert {step["weight_bits"] for step in result.data["steps"] if step["operator"] == "Convolution"} == {8, 4}
