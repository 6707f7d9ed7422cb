"""Bias correction: takes the mean error that rounding of the weights causes out of each output channel.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019), section 4.2, with the
input's mean from calibration data instead of from batch normalization.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from quantmcu.ir import QuantizedWeights, ops


def correct_bias(
    op: ops.Conv2D | ops.Dense, quantized: QuantizedWeights, input_mean: NDArray[np.float64]
) -> QuantizedWeights:
    """`quantized` with bias[o] + sum over the weights of (w - w_quantized) * mean of the input channel they meet.

    input_mean: float64 [input channels]. Padding counts as if it had the mean.
    """
    groups = op.groups if isinstance(op, ops.Conv2D) else 1
    taps = int(np.prod(op.weight.shape[1:-1]))
    means = np.tile(input_mean.reshape(groups, -1), (1, taps))
    return correct_bias_by_field(op, quantized, means)


def correct_bias_by_field(
    op: ops.Conv2D | ops.Dense, quantized: QuantizedWeights, field_mean: NDArray[np.float64]
) -> QuantizedWeights:
    """The same with the mean of the receptive field: float64 [groups, weights of an output channel]."""
    weight = op.weight.reshape(len(op.weight), -1).astype(np.float64)
    errors = weight - quantized.codes.reshape(weight.shape) * quantized.scales[:, None]
    means = field_mean.repeat(len(weight) // len(field_mean), axis=0)
    return replace(quantized, bias=quantized.bias + (errors * means).sum(axis=1))
