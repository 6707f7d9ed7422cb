"""Fixed-point arithmetic: how a real ratio of scales becomes integers (docs/numerics.md).

Everything here is computed once, at compile time, from the scales; the kernels and the reference read the same
integers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]

# Multipliers from here on are multiples of 256: kernels that scale the accumulator by 256 ("half-extension") divide
# them
# exactly. The rounding moves a result of 255 codes by at most 255 * 128 / 2**19 = 0.0625 codes.
COARSE_MULTIPLIER_FROM = 2**19
COARSE_MULTIPLIER_STEP = 256

_ACCUMULATOR_BITS = 32


@dataclass(frozen=True, eq=False)
class Requantize:
    """code = clamp(zero_point + ((saturate(acc) << shift) * multiplier + 2**31 >> 32), low, high).

    The product has 64 bits and the right shift is arithmetic: SMMLAR and USAT on Armv7E-M. saturate() limits the
    accumulator to
    32 - shift bits, so that the left shift can't overflow; a kernel leaves it out where `shift` is 0 or where the
    accumulator is proved to be smaller. Beyond that limit every result is clamped anyway.

    Attributes:
        multiplier: int32, one per output channel, or a single one.
        shift: left shift of the accumulator, 0 where every ratio is below 0.5.
        zero_point, low, high: of the output codes; an activation such as ReLU is in `low` and `high`.
    """

    multiplier: Int32Array
    shift: int
    zero_point: int
    low: int
    high: int

    def apply(self, accumulator: Int64Array) -> NDArray[np.uint8]:
        """Output codes of accumulators whose last axis is the channel."""
        limit = 2 ** (_ACCUMULATOR_BITS - 1 - self.shift)
        shifted = np.clip(accumulator, -limit, limit - 1) << self.shift
        product = (shifted * self.multiplier.astype(np.int64) + 2**31) >> 32
        codes: NDArray[np.uint8] = np.clip(product + self.zero_point, self.low, self.high).astype(np.uint8)
        return codes

    def with_multiplier(self, multiplier: Int32Array) -> Requantize:
        """The same requantization with other multipliers."""
        return replace(self, multiplier=multiplier)

    def saturates(self, accumulator_bound: int) -> bool:
        """Whether accumulators of at most this magnitude can reach the saturation."""
        return accumulator_bound >= 1 << (_ACCUMULATOR_BITS - 1 - self.shift)


def requantize_for(
    ratios: Sequence[float] | NDArray[np.floating[Any]], zero_point: int, low: int, high: int
) -> Requantize:
    """Requantization by the real `ratios` (input scale / output scale, one per channel; negative ones are allowed).

    Raises:
        ValueError: a ratio is not finite or too large for 32 bits (2**30 and above).
    """
    exact = np.asarray(ratios, np.float64)
    largest = float(np.max(np.abs(exact), initial=0.0))
    if not math.isfinite(largest) or largest >= 2**30:
        raise ValueError(f"ratio of scales {largest:g} can't be represented")
    shift = max(0, math.frexp(largest)[1])  # largest < 2**shift
    while largest * 2.0**-shift * 2**32 >= 2**31 - COARSE_MULTIPLIER_STEP:
        shift += 1
    scaled = exact * 2.0 ** (32 - shift)
    fine = np.rint(scaled)
    coarse = np.rint(scaled / COARSE_MULTIPLIER_STEP) * COARSE_MULTIPLIER_STEP
    multiplier = np.where(np.abs(fine) >= COARSE_MULTIPLIER_FROM, coarse, fine)
    return Requantize(multiplier.astype(np.int32), shift, zero_point, low, high)


@dataclass(frozen=True, eq=False)
class LinearForm:
    """code = clamp((constant + sum_i multiplier[i] * code_i) >> shift, low, high), all in 32 bits.

    For operators that combine codes linearly: Add, Sub, a change of scale. Two MLA and one USAT a value on Armv7E-M.
    """

    constant: int
    multipliers: tuple[int, ...]
    shift: int
    low: int
    high: int

    def apply(self, *codes: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Output codes; the inputs broadcast against each other."""
        total: Int64Array = np.asarray(self.constant, np.int64)
        for multiplier, code in zip(self.multipliers, codes, strict=True):
            total = total + multiplier * code.astype(np.int64)
        result: NDArray[np.uint8] = np.clip(total >> self.shift, self.low, self.high).astype(np.uint8)
        return result


def linear_form(
    ratios: Sequence[float],
    zero_points: Sequence[int],
    highest_codes: Sequence[int],
    zero_point: int,
    low: int,
    high: int,
) -> LinearForm:
    """The linear form of zero_point + sum_i ratios[i] * (code_i - zero_points[i]), rounded half up.

    The shift is the largest for which no sum of any codes leaves 32 bits.

    Raises:
        ValueError: the ratios are too large to be represented (2**20 and above).
    """
    for shift in range(24, 0, -1):
        multipliers = tuple(round(ratio * 2**shift) for ratio in ratios)
        constant = (zero_point << shift) + (1 << (shift - 1))
        constant -= sum(m * z for m, z in zip(multipliers, zero_points, strict=True))
        reach = abs(constant) + sum(abs(m) * top for m, top in zip(multipliers, highest_codes, strict=True))
        if reach < 2**31:
            return LinearForm(constant, multipliers, shift, low, high)
    raise ValueError(f"ratios of scales {list(ratios)} can't be represented")
