"""Lowered programs compute what the float graph computes, within the error of their codes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantmcu.errors import QuantMCUError
from quantmcu.ir import Graph, QParams, QuantizedWeights, Tensor, ops
from quantmcu.program.lower import SOFTMAX_QPARAMS, lower
from quantmcu.reference import execute

INPUT = QParams(8, 0.02, 128)
OUTPUT = QParams(8, 0.05, 100)


def single(op, shape, output_shape, given=INPUT, wanted=OUTPUT, extra=()):
    tensors = [Tensor("x", shape, qparams=given), Tensor("y", output_shape, qparams=wanted), *extra]
    return Graph("one", ("x",), ("y",), (op,), {t.name: t for t in tensors})


def run(graph, codes):
    return execute(lower(graph), {"x": codes})["y"]


def random_codes(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def quantized(weight, bias):
    flat = np.abs(weight.reshape(weight.shape[0], -1)).max(axis=1)
    scales = np.where(flat > 0, flat, 1).astype(np.float64) / 127
    spread = scales.reshape(-1, *[1] * (weight.ndim - 1))
    return QuantizedWeights(8, np.rint(weight / spread).astype(np.int8), scales, bias.astype(np.float64))


def dense(weight, bias, **changes):
    op = ops.Dense(
        name="dense", inputs=("x",), outputs=("y",), weight=weight, bias=bias, quantized=quantized(weight, bias)
    )
    return replace(op, **changes)


@settings(deadline=None)
@given(rows=st.integers(1, 3), inputs=st.integers(1, 20), outputs=st.integers(1, 9), seed=st.integers(0, 999))
def test_dense_is_the_real_product_within_one_code(rows, inputs, outputs, seed):
    random = np.random.default_rng(seed)
    op = dense(random.normal(size=(outputs, inputs)).astype(np.float32), random.normal(size=outputs).astype(np.float32))
    codes = random_codes((rows, inputs), seed)
    weight = op.quantized.codes * op.quantized.scales[:, None]
    real = INPUT.dequantize(codes).astype(np.float64) @ weight.T + op.bias
    got = run(single(op, (rows, inputs), (rows, outputs)), codes).astype(int)
    expected = np.clip(np.rint(real / OUTPUT.scale) + OUTPUT.zero_point, 0, 255)
    assert np.abs(got - expected).max() <= 1


def test_a_fused_clamp_limits_the_codes():
    op = dense(np.eye(4, dtype=np.float32) * 9, np.zeros(4, np.float32), activation=ops.Clamp(0.0, 6.0))
    codes = run(single(op, (1, 4), (1, 4)), random_codes((1, 4)))
    low, high = OUTPUT.quantize(np.array([0.0, 6.0]))
    assert codes.min() >= low
    assert codes.max() <= high


@pytest.mark.parametrize(
    ("function", "reference"),
    [
        ("tanh", np.tanh),
        ("hard_swish", lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
        ("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
        ("abs", np.abs),
        ("elu", lambda x: np.where(x > 0, x, np.exp(x) - 1)),
    ],
)
def test_functions_become_exact_tables(function, reference):
    op = ops.Unary(name="f", inputs=("x",), outputs=("y",), function=function, alpha=1.0)
    codes = np.arange(256, dtype=np.uint8).reshape(1, 256)
    expected = OUTPUT.quantize(reference(INPUT.dequantize(codes).astype(np.float64)))
    np.testing.assert_array_equal(run(single(op, (1, 256), (1, 256)), codes), expected)


def test_another_scale_before_an_operator_that_keeps_it_is_changed_first():
    op = ops.MaxPool(name="pool", inputs=("x",), outputs=("y",), kernel=(2, 2), strides=(2, 2))
    program = lower(single(op, (1, 4, 4, 3), (1, 2, 2, 3)))
    assert [step.name for step in program.steps] == ["pool: rescale", "pool"]


@settings(deadline=None)
@given(channels=st.integers(1, 1200), scale=st.floats(1e-3, 0.5), seed=st.integers(0, 99))
def test_integer_softmax_is_within_one_code_of_the_real_one(channels, scale, seed):
    given = QParams(8, scale, 7)
    op = ops.Softmax(name="softmax", inputs=("x",), outputs=("y",))
    codes = random_codes((1, channels), seed)
    real = given.dequantize(codes).astype(np.float64)
    expected = np.exp(real - real.max())
    expected = np.clip(np.rint(256 * expected / expected.sum()), 0, 255)
    got = run(single(op, (1, channels), (1, channels), given, SOFTMAX_QPARAMS), codes).astype(int)
    assert np.abs(got - expected).max() <= 1


def test_an_accumulator_beyond_32_bits_names_the_layer_and_the_channel():
    op = dense(np.ones((2, 4), np.float32), np.zeros(2, np.float32))
    huge = replace(op.quantized, bias=np.array([0.0, 1e9]))
    with pytest.raises(QuantMCUError, match="dense: the layer can't be computed in 32-bit integers") as caught:
        lower(single(replace(op, quantized=huge), (1, 4), (1, 2)))
    assert "output channel 1 can reach" in caught.value.why


def test_a_channel_that_would_saturate_wrongly_is_refused():
    op = dense(np.ones((2, 4), np.float32), np.zeros(2, np.float32))
    codes = np.full((2, 4), 127, np.int8)
    odd = QuantizedWeights(8, codes, np.array([5.0, 1e-9]), np.array([0.0, 2.0**28 * 0.02 * 1e-9]))
    with pytest.raises(QuantMCUError, match="32-bit integers") as caught:
        lower(single(replace(op, quantized=odd), (1, 4), (1, 2)))
    assert "output channel 1 has a scale far below that of others" in caught.value.why


def test_an_unquantized_tensor_is_an_internal_error():
    op = dense(np.ones((2, 4), np.float32), np.zeros(2, np.float32))
    with pytest.raises(ValueError, match="tensor y is not quantized"):
        lower(single(op, (1, 4), (1, 2), wanted=None))
