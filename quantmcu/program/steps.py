"""The steps of the integer program: what the firmware executes, with every integer fixed.

Each class is one operator in integers. `quantmcu/reference` defines its result, a kernel in `firmware/kernels`
computes it. Values are codes (unsigned, 8, 4 or 2 bits) unless said otherwise; maps are NHWC with N = 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantmcu.ir.ops import Pads, Pair
from quantmcu.program.fixed_point import Int32Array, LinearForm, Requantize


@dataclass(frozen=True, eq=False, kw_only=True)
class Step:
    """Common part: a unique name, the values read, the value written; `layer` is the ONNX node behind it."""

    name: str
    inputs: tuple[str, ...]
    output: str
    layer: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class Convolution(Step):
    """Convolution, grouped and depthwise included; a dense layer is a 1x1 convolution over [1, 1, rows, channels].

    acc = bias[o] + sum(weight[o] * code), padding inserts `input_zero_point`, then `requantize`.

    Attributes:
        weight: int8 [output channels, kernel height, kernel width, input channels / groups].
        weight_bits: 8, 4 or 2; how the codes are stored.
        bias: int32 [output channels], with -input_zero_point * sum(weight) folded in.
    """

    weight: NDArray[np.int8]
    weight_bits: int
    bias: Int32Array
    requantize: Requantize
    input_zero_point: int
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    groups: int = 1

    @property
    def kernel(self) -> Pair:
        """Kernel height and width."""
        return self.weight.shape[1], self.weight.shape[2]

    @property
    def is_depthwise(self) -> bool:
        """One input channel a group."""
        return self.groups > 1 and self.weight.shape[3] == 1

    @property
    def is_pointwise(self) -> bool:
        """A matrix product over the channels: kernel 1x1, stride 1, no padding, no groups."""
        return self.kernel == (1, 1) and self.strides == (1, 1) and self.pads == (0, 0, 0, 0) and self.groups == 1

    def accumulator_bounds(self, highest_code: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Least and greatest accumulator of each output channel over all inputs of codes 0 .. highest_code."""
        weight = self.weight.reshape(self.weight.shape[0], -1).astype(np.int64)
        least = self.bias + highest_code * np.minimum(weight, 0).sum(axis=1)
        greatest = self.bias + highest_code * np.maximum(weight, 0).sum(axis=1)
        return least, greatest


@dataclass(frozen=True, eq=False, kw_only=True)
class Linear(Step):
    """Add, Sub, or a change of scale: `form` over one or two inputs that broadcast as in NumPy."""

    form: LinearForm


@dataclass(frozen=True, eq=False, kw_only=True)
class Multiply(Step):
    """acc = (a - zero_points[0]) * (b - zero_points[1]), broadcast as in NumPy, then `requantize` (one multiplier)."""

    zero_points: tuple[int, int]
    requantize: Requantize


@dataclass(frozen=True, eq=False, kw_only=True)
class Lookup(Step):
    """code = table[code]: any function of one value. table: uint8 [number of input codes]."""

    table: NDArray[np.uint8]


@dataclass(frozen=True, eq=False, kw_only=True)
class PRelu(Step):
    """acc = code - input_zero_point; requantized by multiplier 0 where acc >= 0, else by multiplier 1 + channel.

    `requantize.multiplier` is int32 [1 + channels]; slopes may be negative.
    """

    input_zero_point: int
    requantize: Requantize


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool(Step):
    """Largest code of each window; padding never wins."""

    kernel: Pair
    strides: Pair
    dilations: Pair
    pads: Pads


@dataclass(frozen=True, eq=False, kw_only=True)
class AveragePool(Step):
    """acc = sum over the window inside the map of (code - input_zero_point), then `requantize`.

    The mean's division is in the multiplier: a single one where every window divides by the same count, else entry
    n - 1 for windows of which n elements lie inside the map.
    """

    kernel: Pair
    strides: Pair
    pads: Pads
    input_zero_point: int
    requantize: Requantize


@dataclass(frozen=True, eq=False, kw_only=True)
class Concatenate(Step):
    """Joins the inputs along `axis`; forms[i] changes the scale of input i, None copies it."""

    axis: int
    forms: tuple[LinearForm | None, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Slice(Step):
    """x[starts[0]:ends[0]:steps[0], ...], one entry an axis."""

    starts: tuple[int, ...]
    ends: tuple[int, ...]
    steps: tuple[int, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Pad(Step):
    """Surrounds the input with the code `value`: before[i] and after[i] elements on axis i."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    value: int


@dataclass(frozen=True, eq=False, kw_only=True)
class GatherRowsColumns(Step):
    """output[0, y, x, :] = input[0, rows[y], columns[x], :]: nearest resize, reflecting and edge padding."""

    rows: Int32Array
    columns: Int32Array


LINEAR_FRACTION_BITS = 11


@dataclass(frozen=True, eq=False, kw_only=True)
class ResizeLinear(Step):
    """Bilinear interpolation with fractions of 11 bits.

    With f = 2**11: code = ((f - fy) * (f - fx) * top_left + (f - fy) * fx * top_right + fy * (f - fx) * bottom_left
    + fy * fx * bottom_right + 2**21) >> 22, where an output row reads input rows low_rows and high_rows with fraction
    fy.

    All tables: int32, one entry an output row or column.
    """

    low_rows: Int32Array
    high_rows: Int32Array
    row_fractions: Int32Array
    low_columns: Int32Array
    high_columns: Int32Array
    column_fractions: Int32Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Reshape(Step):
    """The same bytes under another shape; costs nothing."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Transpose(Step):
    """Permutes axes as numpy.transpose."""

    permutation: tuple[int, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Softmax(Step):
    """Softmax over the last axis, in integers.

    With e = exponentials[max - code] and s = sum(e): output code = min(255, (256 * e + s // 2) // s), that is scale
    1/256 and zero point 0.

    exponentials: uint32 [number of input codes], round(exp(-scale * d) * 2**k) with k such that 256 * e and s both fit
    32 bits.
    """

    exponentials: NDArray[np.uint32]


@dataclass(frozen=True, eq=False, kw_only=True)
class ArgMax(Step):
    """Index (int32) of the largest code along the last axis, the first one on a tie."""


@dataclass(frozen=True, eq=False, kw_only=True)
class DetectOutliers(Step):
    """One code: 1 where more than `limit` codes of the input lie outside of low .. high, else 0 (VDPC)."""

    low: int
    high: int
    limit: int
