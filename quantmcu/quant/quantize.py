"""Post-training quantization: a float graph and its calibration become a quantized graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from quantmcu.ir import Graph, QParams, QuantizedWeights, ops
from quantmcu.parallel import in_parallel, one_blas_thread
from quantmcu.quant.activations import Bits, activation_tensors, bits_of
from quantmcu.quant.bias_correction import correct_bias, correct_bias_by_field
from quantmcu.quant.calibration import Calibration
from quantmcu.quant.moments import InputMoments
from quantmcu.quant.weights import WeightMethod, quantize_weights


@one_blas_thread()
def quantize(
    graph: Graph,
    calibration: Calibration,
    *,
    weight_bits: Bits = 8,
    activation_bits: Bits = 8,
    weight_method: WeightMethod | None = None,
    bias_correction: bool = True,
    moments: Mapping[str, InputMoments] | None = None,
) -> Graph:
    """`graph` with quantization parameters on every activation, and integer weights in convolutions and dense layers.

    Args:
        graph: float; tensors that have quantization parameters already keep them.
        calibration: of this graph.
        weight_bits: 8, 4 or 2 for all layers, or by operator name.
        activation_bits: 8, 4 or 2 for all tensors, or by tensor name.
        weight_method: choice of weight scales; None: "max" at 8 bits, "mse" below.
        bias_correction: whether biases make up for the mean error of the weights.
        moments: of what layers read, by operator name (`input_moments`): those layers' weights are rounded such that
            their outputs vary least; the weights of others to the nearest.
    """
    graph = graph.with_tensors(activation_tensors(graph, calibration, activation_bits))

    def quantized(op: ops.Op) -> ops.Op:
        if not isinstance(op, ops.Conv2D | ops.Dense):
            return op
        bits = bits_of(op.name, weight_bits)
        weights = _quantized_weights(graph, op, calibration, bits, weight_method, bias_correction, moments or {})
        return replace(op, quantized=weights)

    return graph.with_ops(in_parallel(quantized, graph.ops))


def _quantized_weights(
    graph: Graph,
    op: ops.Conv2D | ops.Dense,
    calibration: Calibration,
    bits: int,
    method: WeightMethod | None,
    bias_correction: bool,
    moments: Mapping[str, InputMoments],
) -> QuantizedWeights:
    source, known = graph.tensor(op.inputs[0]), moments.get(op.name)
    method = method or ("max" if bits == 8 else "mse")
    compensation = None if known is None else known.compensation
    quantized = quantize_weights(op.weight, op.bias, _qparams(source.qparams), bits, method, compensation)
    if bias_correction and known is not None:
        return correct_bias_by_field(op, quantized, known.mean)
    if bias_correction and source.name in calibration.statistics:
        return correct_bias(op, quantized, calibration.statistics[source.name].channel_mean)
    return quantized


def _qparams(qparams: QParams | None) -> QParams:
    if qparams is None:
        raise ValueError("an index tensor can't feed a convolution")
    return qparams
