"""QuantizeLinear and DequantizeLinear of activations."""

from __future__ import annotations

import numpy as np

from quantmcu.export.writer import Writer
from quantmcu.ir.tensor import Tensor


def quantize_dequantize(writer: Writer, tensor: Tensor) -> None:
    """Lets readers of `tensor` read its quantized values, where it has quantization parameters."""
    if tensor.qparams is None:
        return
    qparams = tensor.qparams
    source = writer.read(tensor.name)
    if qparams.bits < 8:
        # uint8 codes, kept to the range of fewer bits: ONNX has no 2-bit type, and ONNX Runtime refuses UINT4 before
        # a convolution of INT8 weights
        low, high = (
            writer.constant(np.float32(value), f"{tensor.name}_{kind}")
            for value, kind in zip(qparams.range, ("low", "high"), strict=True)
        )
        source = writer.node("Clip", [source, low, high], writer.fresh(f"{tensor.name}_clipped"), f"{tensor.name}_clip")
    scale = writer.constant(np.float32(qparams.scale), f"{tensor.name}_scale")
    zero_point = writer.constant(np.uint8(qparams.zero_point), f"{tensor.name}_zero_point")
    codes = writer.node(
        "QuantizeLinear",
        [source, scale, zero_point],
        writer.fresh(f"{tensor.name}_quantized"),
        f"{tensor.name}_quantize",
    )
    real = writer.node(
        "DequantizeLinear",
        [codes, scale, zero_point],
        writer.fresh(f"{tensor.name}_dequantized"),
        f"{tensor.name}_dequantize",
    )
    writer.alias(tensor.name, real)
