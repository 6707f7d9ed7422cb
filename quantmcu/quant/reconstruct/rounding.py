"""Rounding of an activation to its codes, with the derivative that training uses in its place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantmcu.ir import QParams, ops
from quantmcu.program.arithmetic import clamp_codes

Array = NDArray[np.float32]


class Rounding:
    """What becomes of the real result of an operator.

    Attributes:
        rounded: the values that the codes stand for; the activation function is in their limits, as in the firmware.
        activated: the values with nothing but the activation function applied; None unless they are wanted.
    """

    def __init__(self, real: Array, qparams: QParams, activation: ops.Clamp | None, *, wanted: bool) -> None:
        low, high = clamp_codes(qparams, activation)
        scale, zero_point = np.float32(qparams.scale), np.float32(qparams.zero_point)
        codes = real / scale
        np.rint(codes, out=codes)
        codes += zero_point
        self.rounded = np.clip(codes, low, high)
        self._inside = self.rounded == codes
        self.rounded -= zero_point
        self.rounded *= scale
        self.activated: Array | None = None
        self._free: NDArray[np.bool_] | None = None
        if wanted:
            bounds = activation or ops.Clamp()
            self.activated = np.clip(real, np.float32(bounds.low), np.float32(bounds.high))
            self._free = self.activated == real

    def gradient(self, rounded: Array | None, activated: Array | None) -> Array | None:
        """Of the real result, from those of both forms: as if nothing were rounded, 0 where it saturates."""
        total = None if rounded is None else rounded * self._inside
        if activated is None:
            return total
        free = activated * self._free if self._free is not None else activated
        return free if total is None else total + free
