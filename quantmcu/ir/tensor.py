"""Tensors of the intermediate representation and their quantization parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class QParams:
    """Affine per-tensor quantization of an activation: real = scale * (code - zero_point).

    Codes are unsigned, 0 .. 2**bits - 1 (docs/numerics.md).
    """

    bits: int
    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        if self.bits not in (2, 4, 8):
            raise ValueError(f"activations have 8, 4 or 2 bits, not {self.bits}")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"the scale of a tensor is positive and finite, not {self.scale}")
        if not 0 <= self.zero_point <= self.highest_code:
            raise ValueError(f"zero point {self.zero_point} lies outside 0 .. {self.highest_code}")

    @property
    def highest_code(self) -> int:
        """Largest code."""
        return int(2**self.bits - 1)

    @property
    def range(self) -> tuple[float, float]:
        """Real values of the smallest and the largest code."""
        return self.scale * -self.zero_point, self.scale * (self.highest_code - self.zero_point)

    def quantize(self, values: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Codes of real `values`, rounded half to even, saturated."""
        codes = np.rint(np.asarray(values, np.float64) / self.scale) + self.zero_point
        return np.asarray(np.clip(codes, 0, self.highest_code), np.uint8)

    def dequantize(self, codes: NDArray[np.integer]) -> FloatArray:
        """Real values of `codes`."""
        return ((codes.astype(np.float64) - self.zero_point) * self.scale).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Tensor:
    """A feature map, vector or constant operand.

    Attributes:
        name: unique in its graph; taken from the ONNX model where it has one.
        shape: all dimensions, the batch of 1 included; images are NHWC once the layout pass has run.
        data: the values, float32, when the tensor is a constant.
        qparams: how it is quantized, once that is known.
        is_index: holds int32 indices (the result of ArgMax) instead of real values.
    """

    name: str
    shape: tuple[int, ...]
    data: FloatArray | None = None
    qparams: QParams | None = None
    is_index: bool = False

    @property
    def elements(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False)
class QuantizedWeights:
    """Weights as the kernels use them: real = scale[o] * code, symmetric for each output channel.

    Attributes:
        bits: 8, 4 or 2; codes lie in -(2**(bits-1) - 1) .. 2**(bits-1) - 1.
        codes: int8, the shape of the float weight, output channel first.
        scales: float64 [output channels].
        bias: float64 [output channels], real values; differs from the operator's where bias correction changed it.
    """

    bits: int
    codes: NDArray[np.int8]
    scales: NDArray[np.float64]
    bias: NDArray[np.float64]
