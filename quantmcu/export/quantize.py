"""QuantizeLinear and DequantizeLinear of activations."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from quantmcu.export.writer import Writer
from quantmcu.ir.tensor import QParams, Tensor


def quantize_dequantize(writer: Writer, tensor: Tensor) -> None:
    """Lets readers of `tensor` read its quantized values, where it has quantization parameters."""
    if tensor.qparams is None:
        return
    qparams = tensor.qparams
    source = writer.read(tensor.name)
    if qparams.bits == 2:  # ONNX has no such type: codes 0 .. 3 of uint8
        low, high = (
            writer.constant(np.float32(value), f"{tensor.name}_{kind}")
            for value, kind in zip(qparams.range, ("low", "high"), strict=True)
        )
        source = writer.node("Clip", [source, low, high], writer.fresh(f"{tensor.name}_clipped"), f"{tensor.name}_clip")
    scale = writer.constant(np.float32(qparams.scale), f"{tensor.name}_scale")
    zero_point = _zero_point(writer, tensor.name, qparams)
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


def _zero_point(writer: Writer, tensor: str, qparams: QParams) -> str:
    if qparams.bits != 4:
        return writer.constant(np.uint8(qparams.zero_point), f"{tensor}_zero_point")
    name = writer.fresh(f"{tensor}_zero_point")
    writer.initializers.append(helper.make_tensor(name, TensorProto.UINT4, [], [qparams.zero_point]))
    return name
