"""Integer weights: error bounds, and scales that stay representable."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantmcu.ir import QParams, ops
from quantmcu.quant.bias_correction import correct_bias
from quantmcu.quant.weights import quantize_weights

SOURCE = QParams(8, 0.02, 30)


def accumulator_bounds(codes: np.ndarray, scales: np.ndarray, bias: np.ndarray, source: QParams) -> np.ndarray:
    """Largest |accumulator| of each channel over all input codes."""
    rows = codes.reshape(len(codes), -1).astype(np.float64)
    start = np.rint(bias / (source.scale * scales)) - source.zero_point * rows.sum(axis=1)
    top = source.highest_code
    ends = start + top * np.minimum(rows, 0).sum(axis=1), start + top * np.maximum(rows, 0).sum(axis=1)
    return np.maximum(np.abs(start), np.maximum(*np.abs(ends)))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**16), st.sampled_from([8, 4, 2]), st.sampled_from(["max", "mse"]))
def test_codes_are_near_and_in_range(seed: int, bits: int, method: str) -> None:
    rng = np.random.default_rng(seed)
    weight = (rng.standard_normal((5, 3, 3, 4)) * 10.0 ** rng.uniform(-3, 1, (5, 1, 1, 1))).astype(np.float32)
    quantized = quantize_weights(weight, np.zeros(5, np.float32), SOURCE, bits, method)
    limit = 2 ** (bits - 1) - 1
    assert np.abs(quantized.codes).max() <= limit
    real = quantized.codes * quantized.scales[:, None, None, None]
    inside = np.abs(weight) <= quantized.scales[:, None, None, None] * limit
    error = np.abs(real - weight) / quantized.scales[:, None, None, None]
    assert error[inside].max() <= 0.5 + 1e-6
    if method == "max":
        assert inside.all() or error.max() <= 0.5 + 1e-6


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**16), st.sampled_from([8, 4, 2]))
def test_mse_is_never_worse_than_max(seed: int, bits: int) -> None:
    weight = np.random.default_rng(seed).standard_t(3, (4, 50)).astype(np.float32)
    errors = {}
    for method in ("max", "mse"):
        quantized = quantize_weights(weight, np.zeros(4, np.float32), SOURCE, bits, method)
        errors[method] = ((quantized.codes * quantized.scales[:, None] - weight) ** 2).sum(axis=1)
    assert (errors["mse"] <= errors["max"] * (1 + 1e-5)).all()


@pytest.mark.parametrize("magnitude", [0.0, 1e-38, 1e-30, 1e-12, 1.0, 1e12])
@pytest.mark.parametrize("bias", [0.0, 1e-20, 1.0, -1e6])
def test_extreme_channels_stay_representable(magnitude: float, bias: float) -> None:
    weight = np.full((2, 1, 1, 300), magnitude, np.float32)
    weight[1] = np.linspace(-1, 1, 300)
    biases = np.array([bias, 0.1], np.float32)
    quantized = quantize_weights(weight, biases, SOURCE, 8, "max")
    assert np.isfinite(quantized.scales).all()
    assert (quantized.scales > 0).all()
    assert accumulator_bounds(quantized.codes, quantized.scales, biases, SOURCE).max() < 2**31
    unit = SOURCE.scale * quantized.scales[0]
    assert np.rint(biases[0] / unit) * unit == pytest.approx(biases[0], rel=1e-6, abs=unit)
    if magnitude == 0:  # no scale beyond the other channel's, for they share a shift
        assert quantized.scales[0] <= max(quantized.scales[1], abs(bias))


def test_a_very_wide_layer_does_not_overflow() -> None:
    weight = np.ones((1, 80_000), np.float32)
    quantized = quantize_weights(weight, np.zeros(1, np.float32), SOURCE, 8, "max")
    assert accumulator_bounds(quantized.codes, quantized.scales, np.zeros(1), SOURCE).max() < 2**31
    assert quantized.codes.max() > 40


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_bias_correction_removes_the_mean_error(groups: int) -> None:
    rng = np.random.default_rng(groups)
    weight = rng.standard_normal((12, 3, 3, 6 // groups)).astype(np.float32)
    op = ops.Conv2D(
        name="c", inputs=("x",), outputs=("y",), weight=weight, bias=np.zeros(12, np.float32), groups=groups
    )
    mean = rng.uniform(0, 5, 6)
    quantized = quantize_weights(weight, op.bias, SOURCE, 4, "max")
    corrected = correct_bias(op, quantized, mean)
    for channel in range(12):
        group = channel // (12 // groups)
        means = mean[group * (6 // groups) : (group + 1) * (6 // groups)]
        wanted = (weight[channel] * means).sum()
        got = (quantized.codes[channel] * quantized.scales[channel] * means).sum() + corrected.bias[channel]
        assert got == pytest.approx(wanted, rel=1e-5)
