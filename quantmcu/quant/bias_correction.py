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
    weight = op.weight.reshape(op.weight.shape[0], -1, op.weight.shape[-1]).astype(np.float64)
    codes = quantized.codes.reshape(weight.shape)
    errors = (weight - codes * quantized.scales[:, None, None]).sum(axis=1)  # [output channels, input channels a group]
    groups = op.groups if isinstance(op, ops.Conv2D) else 1
    means = input_mean.reshape(groups, -1).repeat(len(weight) // groups, axis=0)
    return replace(quantized, bias=quantized.bias + (errors * means).sum(axis=1))
