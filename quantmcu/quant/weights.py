"""Integer weights: symmetric, one scale for each output channel."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quantmcu.ir import QParams, QuantizedWeights
from quantmcu.quant.rounding import Compensation, round_by_covariance

WeightMethod = Literal["max", "mse"]

# A bias is at most 2**28 units of S_in * S_w. Then it fits int32 beside the products, and the channel's multiplier, a
# multiple of 2**-32, moves no result by more than 2**28 * 2**-33 = 1/32 code.
_BIAS_LIMIT = 2.0**28
_ACCUMULATOR_LIMIT = 2.0**31 - 2**16  # a margin for the rounding of bias and weights
_MSE_CANDIDATES = 50


def quantize_weights(
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
    source: QParams,
    bits: int,
    method: WeightMethod,
    compensation: Compensation | None = None,
) -> QuantizedWeights:
    """Codes and scales of `weight` [output channels, ...], whose layer reads activations quantized with `source`.

    The scale is the smallest that represents the largest weight ("max"), or the one with the least squared error
    ("mse"), and never so small that the bias or the sum of products could leave 32 bits. Weights are rounded to the
    nearest code, or with the `compensation` of the inputs' covariance such that the output varies least.
    """
    rows = weight.reshape(weight.shape[0], -1).astype(np.float64)
    limit = 2 ** (bits - 1) - 1
    scales = np.abs(rows).max(axis=1, initial=0.0) / limit
    if method == "mse":
        scales *= _best_fractions(rows, scales, limit)
    scales = np.maximum(scales, smallest_scales(rows, bias, source))
    if compensation is None:
        codes = np.clip(np.rint(rows / scales[:, None]), -limit, limit).astype(np.int8)
    else:
        groups = len(compensation.factor)
        grouped = rows.reshape(groups, -1, rows.shape[1])
        codes = round_by_covariance(grouped, scales.reshape(groups, -1), limit, compensation)
    return QuantizedWeights(bits, codes.reshape(weight.shape), scales, bias.astype(np.float64))


def smallest_scales(rows: NDArray[np.float64], bias: NDArray[np.float32], source: QParams) -> NDArray[np.float64]:
    """Per channel, the smallest weight scale with which accumulator and bias are representable; always positive.

    rows: weights [output channels, weights of a channel].
    """
    bias_units = np.abs(bias.astype(np.float64)) / source.scale
    # largest |sum of w * (code - zero point)| and of its parts, for any codes, in units of the weight scale
    products = source.highest_code * np.abs(rows).sum(axis=1) * 2
    needed: NDArray[np.float64] = np.maximum(bias_units / _BIAS_LIMIT, (products + bias_units) / _ACCUMULATOR_LIMIT)
    # any scale does for a channel of zeros without bias; not a large one, since all channels of a layer share a shift
    needed[needed == 0] = needed[needed > 0].min(initial=1.0)
    return needed


def _best_fractions(rows: NDArray[np.float64], scales: NDArray[np.float64], limit: int) -> NDArray[np.float64]:
    """For each channel, the fraction of the "max" scale with the least squared error of the weights."""
    safe = np.where(scales > 0, scales, 1.0)
    best, least = np.ones(len(rows)), np.full(len(rows), np.inf)
    scaled = (rows / safe[:, None]).astype(np.float32)
    for fraction in np.linspace(1.0, 0.3 if limit < 127 else 0.75, _MSE_CANDIDATES):
        codes = np.clip(np.rint(scaled / np.float32(fraction)), -limit, limit)
        codes *= np.float32(fraction)
        codes -= scaled
        error = np.einsum("ij,ij->i", codes, codes)
        better = error < least
        best[better], least[better] = fraction, error[better]
    return best
