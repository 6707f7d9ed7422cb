"""Fewer bits for weights: moments of inputs, rounding by covariance, and the choice of bits under a flash budget."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import LAYERS, grouped_network

from quantmcu.data import Dataset, InputSpec, open_dataset
from quantmcu.errors import QuantMCUError
from quantmcu.ir import Graph, Tensor, ops
from quantmcu.quant import calibrate, quantize
from quantmcu.quant.moments import input_moments
from quantmcu.quant.rounding import Compensation, round_by_covariance
from quantmcu.quant.weight_bits import WeightOption, choose_weight_bits, measure_options, weight_bytes


def test_moments_are_those_of_the_receptive_fields(images: Dataset) -> None:
    moments = input_moments(grouped_network(), images, LAYERS)
    stem = moments["stem"]
    fields = []
    for sample in images:
        padded = np.pad(sample.inputs["x"][0].transpose(1, 2, 0), ((1, 1), (0, 2), (0, 0)))
        fields += [padded[y : y + 3, x : x + 3].ravel() for y in range(0, 12, 2) for x in range(12)]
    np.testing.assert_allclose(stem.mean[0], np.mean(fields, axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(stem.covariance[0], np.cov(np.array(fields).T, bias=True), rtol=1e-3, atol=1e-4)
    assert moments["grouped"].covariance.shape == (4, 12, 12)
    assert moments["scores"].covariance.shape == (1, 24, 24)


def test_moments_of_inputs_far_from_0_are_exact_too() -> None:
    """Products of their 32-bit floats would lose what they vary by, and leave no covariance that can be inverted."""
    inputs = np.random.default_rng(2).standard_normal((400, 5)).astype(np.float32)
    identity, far = np.eye(5, dtype=np.float32), np.full(5, 1e3, np.float32)
    shift = ops.Dense(name="shift", inputs=("x",), outputs=("h",), weight=identity, bias=far)
    last = ops.Dense(name="last", inputs=("h",), outputs=("y",), weight=identity[:2], bias=far[:2])
    tensors = {name: Tensor(name, (1, size)) for name, size in (("x", 5), ("h", 5), ("y", 2))}
    graph = Graph("two", ("x",), ("y",), (shift, last), tensors, (None,), (None,))
    dataset = open_dataset(inputs, (InputSpec("x", (1, 5)),))
    (moments,) = input_moments(graph, dataset, ("last",)).values()
    values = inputs + np.float32(1000)
    np.testing.assert_allclose(moments.mean[0], values.mean(axis=0, dtype=np.float64), rtol=1e-6)
    exact = np.cov(values.T.astype(np.float64), bias=True)
    np.testing.assert_allclose(moments.covariance[0], exact, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**16), st.sampled_from([4, 2]), st.integers(1, 3), st.integers(1, 90))
def test_rounding_by_covariance_varies_the_output_less(seed: int, bits: int, groups: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((groups, 4 * size + 20, size)) @ rng.standard_normal((groups, size, size))
    covariance = inputs.transpose(0, 2, 1) @ inputs / inputs.shape[1]
    weight, limit = rng.standard_normal((groups, 30, size)), 2 ** (bits - 1) - 1
    scales = np.abs(weight).max(axis=2) / limit
    codes = round_by_covariance(weight, scales, limit, Compensation.of(covariance))
    nearest = np.clip(np.rint(weight / scales[..., None]), -limit, limit)
    assert codes.dtype == np.int8
    assert np.abs(codes).max() <= limit

    def error(chosen: np.ndarray) -> float:
        difference = chosen * scales[..., None] - weight
        return float(np.einsum("goi,gij,goj->", difference, covariance, difference, optimize=True))

    assert error(codes) <= error(nearest) * 1.05 + 1e-9
    if size >= 30:
        assert error(codes) < 0.9 * error(nearest)


def test_uncorrelated_inputs_round_to_the_nearest() -> None:
    weight = np.random.default_rng(3).standard_normal((1, 5, 12))
    scales = np.abs(weight).max(axis=2) / 7
    codes = round_by_covariance(weight, scales, 7, Compensation.of(np.eye(12)[None]))
    np.testing.assert_array_equal(codes, np.rint(weight / scales[..., None]))


def test_options_tell_which_layer_can_do_with_fewer_bits(images: Dataset) -> None:
    graph = grouped_network()
    calibration = calibrate(graph, images)
    moments = input_moments(graph, images, LAYERS)
    quantized = {bits: quantize(graph, calibration, weight_bits=bits, moments=moments) for bits in (8, 4)}
    seen: list[tuple[int, int]] = []
    options = measure_options(graph, quantized, images, LAYERS, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (8, 8)
    by_key = {(option.layer, option.bits): option for option in options}
    for layer in LAYERS:
        assert by_key[layer, 4].nbytes < by_key[layer, 8].nbytes
        assert 0 < by_key[layer, 8].loss < by_key[layer, 4].loss < 0.5
    all_8 = sum(by_key[layer, 8].nbytes for layer in LAYERS)
    assert choose_weight_bits(options, all_8) == dict.fromkeys(LAYERS, 8)
    tight = choose_weight_bits(options, all_8 - 100)
    assert sum(by_key[layer, bits].nbytes for layer, bits in tight.items()) <= all_8 - 100
    assert 4 in tight.values()


def test_gptq_with_bias_correction_beats_nearest_rounding(images: Dataset) -> None:
    graph = grouped_network()
    calibration = calibrate(graph, images)
    moments = input_moments(graph, images, LAYERS)
    losses = []
    for known in (None, moments):
        quantized = {4: quantize(graph, calibration, weight_bits=4, moments=known)}
        losses.append(sum(option.loss for option in measure_options(graph, quantized, images, LAYERS)))
    assert losses[1] < 0.7 * losses[0]


def test_bytes_count_each_output_channel_from_a_new_byte() -> None:
    dense = grouped_network().ops[-1]
    assert isinstance(dense, ops.Dense)
    assert [weight_bytes(dense, bits) for bits in (8, 4, 2)] == [168, 84, 42]
    stem = grouped_network().ops[0]
    assert isinstance(stem, ops.Conv2D)
    assert [weight_bytes(stem, bits) for bits in (8, 4, 2)] == [16 * 27, 16 * 14, 16 * 7]


def test_choice_lowers_the_cheapest_and_fills_the_room() -> None:
    options = [WeightOption("a", 8, 100, 0.0), WeightOption("a", 4, 50, 0.1), WeightOption("a", 2, 25, 5.0)]
    options += [WeightOption("b", 8, 1000, 0.0), WeightOption("b", 4, 500, 0.2)]
    options += [WeightOption("c", 8, 10, 0.0), WeightOption("c", 4, 5, 0.1)]
    assert choose_weight_bits(options, 1110) == {"a": 8, "b": 8, "c": 8}
    assert choose_weight_bits(options, 700) == {"a": 8, "b": 4, "c": 8}
    assert choose_weight_bits(options, 560) == {"a": 4, "b": 4, "c": 8}
    assert choose_weight_bits(options, 555) == {"a": 4, "b": 4, "c": 4}
    with pytest.raises(QuantMCUError, match="530 bytes even with the fewest bits, 529 are there"):
        choose_weight_bits(options, 529)
