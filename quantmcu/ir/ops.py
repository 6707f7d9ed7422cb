"""The operators of the intermediate representation: one frozen class each.

Layout: four-dimensional feature maps are NHWC with N = 1 and weights are stored output channel first, input channel
last, as the kernels read them. An operator owns its weights; `inputs` and `outputs` name activations (and constant
operands) only.

Semantics are those of the ONNX operator of the same name, restated here where a class covers several.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quantmcu.ir.tensor import QuantizedWeights

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]
"""Padding in the order top, left, bottom, right."""


@dataclass(frozen=True)
class Clamp:
    """A fused activation: min(max(x, low), high); either bound may be infinite."""

    low: float = -np.inf
    high: float = np.inf


@dataclass(frozen=True, eq=False, kw_only=True)
class Op:
    """Common part: a unique name (from the ONNX node), the tensors read and the tensors written."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def output(self) -> str:
        """The only output."""
        (name,) = self.outputs
        return name


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv2D(Op):
    """Two-dimensional convolution, grouped or depthwise where `groups` > 1.

    weight: float32 [output channels, kernel height, kernel width, input channels / groups].
    bias: float32 [output channels].
    quantized: the integer weights, once the quantizer has chosen them.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    groups: int = 1
    activation: Clamp | None = None
    quantized: QuantizedWeights | None = None

    @property
    def kernel(self) -> Pair:
        """Kernel height and width."""
        return self.weight.shape[1], self.weight.shape[2]

    @property
    def is_depthwise(self) -> bool:
        """One input channel a group."""
        return self.groups > 1 and self.weight.shape[3] == 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Dense(Op):
    """Fully connected layer over the last axis: y[..., o] = sum_i weight[o, i] * x[..., i] + bias[o]."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    activation: Clamp | None = None
    quantized: QuantizedWeights | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Add(Op):
    """Element-wise a + b with NumPy broadcasting; either operand may be a constant tensor."""

    activation: Clamp | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Sub(Op):
    """Element-wise a - b with NumPy broadcasting."""

    activation: Clamp | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Mul(Op):
    """Element-wise a * b with NumPy broadcasting (the gate of squeeze-excite is [1, 1, 1, C])."""

    activation: Clamp | None = None


UnaryFunction = Literal[
    "clamp", "leaky_relu", "hard_swish", "hard_sigmoid", "sigmoid", "tanh", "exp", "abs", "neg", "sqrt", "elu",
    "softplus", "gelu", "silu", "erf", "selu", "celu", "softsign", "mish", "thresholded_relu", "power",
]  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class Unary(Op):
    """A function of one value applied to each element; becomes a table of codes.

    alpha, beta: leaky_relu slope alpha; hard_sigmoid max(0, min(1, alpha x + beta)); clamp to [alpha, beta]; elu alpha;
    celu alpha; selu alpha, times beta; thresholded_relu 0 up to alpha; power x ** alpha.
    """

    function: UnaryFunction
    alpha: float = 0.0
    beta: float = 0.0


@dataclass(frozen=True, eq=False, kw_only=True)
class PRelu(Op):
    """x where x >= 0, else slope[channel] * x. slope: float32 [channels] of the last axis."""

    slope: NDArray[np.float32]


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool(Op):
    """Largest value of each window; padding never wins."""

    kernel: Pair
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)


@dataclass(frozen=True, eq=False, kw_only=True)
class AveragePool(Op):
    """Mean of each window. The padding counts as zeros where `count_include_pad`, else only what lies inside counts.

    Global pooling is a kernel of the whole map.
    """

    kernel: Pair
    strides: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    count_include_pad: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Concat(Op):
    """Joins its inputs along `axis` (never the batch)."""

    axis: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Slice(Op):
    """x[starts[0]:ends[0]:steps[0], ...]: one entry an axis, normalised to 0 <= start < end <= size, step > 0."""

    starts: tuple[int, ...]
    ends: tuple[int, ...]
    steps: tuple[int, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Pad(Op):
    """Pads every axis: `before[i]` and `after[i]` elements on axis i (never negative)."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    mode: Literal["constant", "reflect", "edge"] = "constant"
    value: float = 0.0


@dataclass(frozen=True, eq=False, kw_only=True)
class Resize(Op):
    """Resizes height and width of a map (ONNX Resize and Upsample; no antialiasing, no cubic).

    Which input row or column an output one reads follows from the attributes, in ir/resize.py.
    """

    mode: Literal["nearest", "linear"]
    scales: tuple[float, float]
    coordinates: Literal["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"]
    rounding: Literal["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"] = "round_prefer_floor"


@dataclass(frozen=True, eq=False, kw_only=True)
class Reshape(Op):
    """The same values in the same order under another shape (that of the output tensor)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Transpose(Op):
    """Permutes axes as numpy.transpose."""

    permutation: tuple[int, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Softmax(Op):
    """Softmax over the last axis."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ArgMax(Op):
    """Index of the largest value along the last axis, the first one on a tie; the output is an index tensor.

    Whether the axis is kept (as 1) shows in the output's shape.
    """
