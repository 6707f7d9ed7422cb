"""Integers of the lowering, with the proofs that 32 bits suffice for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantmcu.ir import QParams, ops
from quantmcu.program.fixed_point import LinearForm, Requantize, linear_form, requantize_for

Reals = NDArray[np.float64]


class UnrepresentableError(ValueError):
    """Integers of the chosen width don't suffice."""


def clamp_codes(qparams: QParams, activation: ops.Clamp | None) -> tuple[int, int]:
    """The codes that a fused activation limits the output to."""
    if activation is None:
        return 0, qparams.highest_code
    low, high = (
        min(max(bound / qparams.scale + qparams.zero_point, 0), qparams.highest_code)
        for bound in (activation.low, activation.high)
    )
    return round(low), round(high)


def requantize_checked(
    ratios: Sequence[float] | NDArray[np.floating[Any]], zero_point: int, low: int, high: int
) -> Requantize:
    """`requantize_for`, with its refusal as an UnrepresentableError."""
    try:
        return requantize_for(ratios, zero_point, low, high)
    except ValueError as error:
        raise UnrepresentableError(str(error)) from error


def linear_form_checked(
    ratios: Sequence[float], given: Sequence[QParams], qparams: QParams, activation: ops.Clamp | None
) -> LinearForm:
    """`linear_form` into the output's codes, with its refusal as an UnrepresentableError."""
    low, high = clamp_codes(qparams, activation)
    try:
        return linear_form(
            ratios,
            [q.zero_point for q in given],
            [q.highest_code for q in given],
            qparams.zero_point,
            low,
            high,
        )
    except ValueError as error:
        raise UnrepresentableError(str(error)) from error


def accumulator_reach(codes: NDArray[np.int8], bias: Reals, highest_code: int) -> Reals:
    """Largest magnitude of each channel's accumulator over all inputs, whatever the order of the additions."""
    weight = codes.reshape(codes.shape[0], -1).astype(np.int64)
    positive, negative = np.maximum(weight, 0).sum(axis=1), -np.minimum(weight, 0).sum(axis=1)
    reach: Reals = np.abs(bias) + highest_code * np.maximum(positive, negative)
    return reach


def check_saturation(
    codes: NDArray[np.int8], bias: Reals, highest_code: int, ratios: Reals, requantize: Requantize
) -> None:
    """Proves that an accumulator which saturates before the left shift would be clamped anyway."""
    limit = 2.0 ** (31 - requantize.shift)
    reach = accumulator_reach(codes, bias, highest_code)
    wrong = np.flatnonzero((reach >= limit) & (np.abs(ratios) * limit < requantize.high - requantize.low + 1))
    if wrong.size:
        channel = int(wrong[0])
        raise UnrepresentableError(
            f"output channel {channel} has a scale far below that of others, "
            f"and its accumulator reaches {reach[channel]:.0f}"
        )


def check_accumulator(codes: NDArray[np.int8], bias: Reals, highest_code: int) -> None:
    """Proves that no input makes an accumulator leave 32 bits."""
    reach = accumulator_reach(codes, bias, highest_code)
    worst = int(np.argmax(reach))
    if reach[worst] >= 2**31:
        raise UnrepresentableError(
            f"the accumulator of output channel {worst} can reach {reach[worst]:.0f}, beyond 2^31 - 1"
        )
