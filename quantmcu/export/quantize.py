"""QuantizeLinear and DequantizeLinear of activations."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from quantmcu.export.narrow_types import unsigned_type
from quantmcu.export.writer import Writer
from quantmcu.ir.tensor import Tensor


def quantize_dequantize(writer: Writer, tensor: Tensor) -> None:
    """Lets readers of `tensor` read its quantized values, where it has quantization parameters.

    Codes of fewer than 8 bits are quantized as UINT8 within their range, and then cast to their own type and back: ONNX
    Runtime moves a QuantizeLinear over operators that it runs on 8-bit types only.
    """
    if tensor.qparams is None:
        return
    qparams, name = tensor.qparams, tensor.name
    source = writer.read(name)
    if qparams.bits < 8:
        low, high = (
            writer.constant(np.float32(value), f"{name}_{kind}")
            for value, kind in zip(qparams.range, ("low", "high"), strict=True)
        )
        source = writer.node("Clip", [source, low, high], writer.fresh(f"{name}_clipped"), f"{name}_clip")
    scale = writer.constant(np.float32(qparams.scale), f"{name}_scale")
    zero_point = writer.constant(np.uint8(qparams.zero_point), f"{name}_zero_point")
    codes = writer.node(
        "QuantizeLinear", [source, scale, zero_point], writer.fresh(f"{name}_quantized"), f"{name}_quantize"
    )
    narrow = unsigned_type(qparams.bits)
    if narrow != TensorProto.UINT8:
        packed = writer.node("Cast", [codes], writer.fresh(f"{name}_packed"), f"{name}_pack", to=narrow)
        codes = writer.node(
            "Cast", [packed], writer.fresh(f"{name}_unpacked"), f"{name}_unpack", to=TensorProto.UINT8
        )
    real = writer.node(
        "DequantizeLinear", [codes, scale, zero_point], writer.fresh(f"{name}_dequantized"), f"{name}_dequantize"
    )
    writer.alias(name, real)
