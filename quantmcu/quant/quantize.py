"""Post-training quantization: a float graph and its calibration become a quantized graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from quantmcu.ir import Graph, QParams, ops
from quantmcu.quant.activations import Bits, activation_tensors, bits_of
from quantmcu.quant.bias_correction import correct_bias
from quantmcu.quant.calibration import Calibration
from quantmcu.quant.weights import WeightMethod, quantize_weights


def quantize(
    graph: Graph,
    calibration: Calibration,
    *,
    weight_bits: Bits = 8,
    activation_bits: Bits = 8,
    weight_method: WeightMethod | None = None,
    bias_correction: bool = True,
) -> Graph:
    """`graph` with quantization parameters on every activation, and integer weights in convolutions and dense layers.

    Args:
        graph: float; tensors that have quantization parameters already keep them.
        calibration: of this graph.
        weight_bits: 8, 4 or 2 for all layers, or by operator name.
        activation_bits: 8, 4 or 2 for all tensors, or by tensor name.
        weight_method: choice of weight scales; None: "max" at 8 bits, "mse" below.
        bias_correction: whether biases make up for the mean error of the weights.
    """
    graph = graph.with_tensors(activation_tensors(graph, calibration, activation_bits))
    return graph.with_ops(_quantized_ops(graph, calibration, weight_bits, weight_method, bias_correction))


def _quantized_ops(
    graph: Graph, calibration: Calibration, weight_bits: Bits, method: WeightMethod | None, bias_correction: bool
) -> Iterator[ops.Op]:
    for op in graph.ops:
        if not isinstance(op, ops.Conv2D | ops.Dense):
            yield op
            continue
        source = graph.tensor(op.inputs[0])
        bits = bits_of(op.name, weight_bits)
        quantized = quantize_weights(
            op.weight, op.bias, _qparams(source.qparams), bits, method or ("max" if bits == 8 else "mse")
        )
        if bias_correction and source.name in calibration.statistics:
            quantized = correct_bias(op, quantized, calibration.statistics[source.name].channel_mean)
        yield replace(op, quantized=quantized)


def _qparams(qparams: QParams | None) -> QParams:
    if qparams is None:
        raise ValueError("an index tensor can't feed a convolution")
    return qparams
