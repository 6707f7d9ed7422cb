"""Weights and biases as ONNX initializers: float32, or integers behind a DequantizeLinear."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from quantmcu.export.writer import Writer
from quantmcu.ir.ops import Conv2D, Dense


def weight_value(op: Conv2D | Dense, writer: Writer, weight: NDArray[np.float32], *, qdq: bool) -> str:
    """The value that the ONNX node reads as its weight; `weight` is the float weight in the node's layout."""
    if not qdq or op.quantized is None:
        return writer.constant(weight, f"{op.name}_weight")
    quantized = op.quantized
    codes: NDArray[Any] = quantized.codes.transpose(0, 3, 1, 2) if isinstance(op, Conv2D) else quantized.codes
    stored = writer.fresh(f"{op.name}_weight_quantized")
    if quantized.bits == 4:
        writer.initializers.append(
            helper.make_tensor(stored, TensorProto.INT4, codes.shape, codes.astype(np.int8).flatten().tolist())
        )
    else:
        writer.initializers.append(helper.make_tensor(stored, TensorProto.INT8, codes.shape, codes.tobytes(), raw=True))
    scales = writer.constant(quantized.scales.astype(np.float32), f"{op.name}_weight_scale")
    return writer.node(
        "DequantizeLinear", [stored, scales], writer.fresh(f"{op.name}_weight"), f"{op.name}_weight_dequantize", axis=0
    )


def bias_value(op: Conv2D | Dense, writer: Writer, *, qdq: bool) -> str:
    """The value that the ONNX node reads as its bias: int32 of scale S_in * S_w[channel] where both are quantized."""
    qparams = writer.graph.tensor(op.inputs[0]).qparams
    if not qdq or op.quantized is None:
        return writer.constant(op.bias, f"{op.name}_bias")
    if qparams is None:
        return writer.constant(op.quantized.bias.astype(np.float32), f"{op.name}_bias")
    scales = op.quantized.scales * qparams.scale
    limits = np.iinfo(np.int32)
    codes = np.clip(np.rint(op.quantized.bias / scales), limits.min, limits.max).astype(np.int32)
    stored = writer.constant(codes, f"{op.name}_bias_quantized")
    scale = writer.constant(scales.astype(np.float32), f"{op.name}_bias_scale")
    return writer.node(
        "DequantizeLinear", [stored, scale], writer.fresh(f"{op.name}_bias"), f"{op.name}_bias_dequantize", axis=0
    )
