"""Weights and biases as ONNX initializers: float32, or integers behind a DequantizeLinear."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from quantmcu.export.narrow_types import signed_type
from quantmcu.export.writer import Writer
from quantmcu.ir.ops import Conv2D, Dense
from quantmcu.ir.tensor import QParams, QuantizedWeights

_LARGEST_BIAS = 2**30
"""Bias codes stay below this where the scale can be chosen, so that they and the sum fit int32."""


def weight_value(op: Conv2D | Dense, writer: Writer, weight: NDArray[np.float32], *, qdq: bool) -> str:
    """The value that the ONNX node reads as its weight; `weight` is the float weight in the node's layout."""
    if not qdq or op.quantized is None:
        return writer.constant(weight, f"{op.name}_weight")
    quantized = op.quantized
    codes: NDArray[Any] = quantized.codes.transpose(0, 3, 1, 2) if isinstance(op, Conv2D) else quantized.codes
    kind = signed_type(quantized.bits)
    stored = writer.integers(kind, codes.astype(np.int8), f"{op.name}_weight_quantized")
    if kind != TensorProto.INT8:
        stored = writer.node(
            "Cast", [stored], writer.fresh(f"{op.name}_weight_codes"), f"{op.name}_weight_cast", to=TensorProto.INT8
        )
    scales = _scales(quantized, writer.graph.tensor(op.inputs[0]).qparams).astype(np.float32)
    return _dequantized(writer, stored, scales, f"{op.name}_weight")


def bias_value(op: Conv2D | Dense, writer: Writer, *, qdq: bool) -> str:
    """The value that the ONNX node reads as its bias: int32 of scale S_in * S_w[channel] where both are quantized.

    Raises:
        ValueError: a bias does not fit int32; no integer program of this layer exists then either.
    """
    qparams = writer.graph.tensor(op.inputs[0]).qparams
    if not qdq or op.quantized is None:
        return writer.constant(op.bias, f"{op.name}_bias")
    if qparams is None:
        return writer.constant(op.quantized.bias.astype(np.float32), f"{op.name}_bias")
    scales = _scales(op.quantized, qparams) * qparams.scale
    codes = np.rint(op.quantized.bias / scales)
    if (np.abs(codes) > np.iinfo(np.int32).max).any():
        raise ValueError(f"{op.name}: a bias of {np.abs(codes).max():.3g} units does not fit int32")
    stored = writer.constant(codes.astype(np.int32), f"{op.name}_bias_quantized")
    return _dequantized(writer, stored, scales.astype(np.float32), f"{op.name}_bias")


def _scales(quantized: QuantizedWeights, source: QParams | None) -> NDArray[np.float64]:
    """Scales of the weights; where all codes of a channel are 0 the scale is free, and large enough for the bias."""
    if source is None:
        return quantized.scales
    idle = ~quantized.codes.reshape(len(quantized.codes), -1).any(axis=1)
    needed = np.maximum(
        np.abs(quantized.bias) / (source.scale * _LARGEST_BIAS), np.finfo(np.float32).tiny / source.scale
    )
    return np.where(idle, np.maximum(quantized.scales, needed), quantized.scales)


def _dequantized(writer: Writer, codes: str, scales: NDArray[np.float32], name: str) -> str:
    scale = writer.constant(scales, f"{name}_scale")
    return writer.node("DequantizeLinear", [codes, scale], writer.fresh(name), f"{name}_dequantize", axis=0)
