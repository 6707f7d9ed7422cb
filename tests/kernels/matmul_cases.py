"""Random and extreme convolutions for the tests of the matrix product kernels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from kernel_driver import CORTEX_M7, Codes, context_for

from quantmcu.codegen.kernel import Core, StepContext
from quantmcu.program.fixed_point import requantize_for
from quantmcu.program.steps import Convolution


@dataclass(frozen=True)
class Shape:
    """A convolution's shape. `size`: height and width of the input map."""

    size: tuple[int, int]
    channels: int
    outputs: int
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def output_size(self) -> tuple[int, int]:
        """Height and width of the output map."""
        height, width = (
            (self.size[i] + self.pads[i] + self.pads[i + 2] - (self.kernel[i] - 1) * self.dilations[i] - 1)
            // self.strides[i] + 1
            for i in range(2)
        )  # fmt: skip
        return height, width

    @property
    def macs(self) -> int:
        """Multiply-accumulates, those on padding included."""
        return int(np.prod(self.output_size) * self.outputs * np.prod(self.kernel) * self.channels)


@st.composite
def shapes(draw: st.DrawFn, max_channels: int = 40) -> Shape:
    """Any convolution without groups that computes at least one pixel."""
    pointwise = draw(st.booleans())
    kernel = (1, 1) if pointwise else (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    dilations = (1, 1) if pointwise else (draw(st.sampled_from([1, 1, 2])), draw(st.sampled_from([1, 1, 2, 3])))
    pads = (0, 0, 0, 0) if pointwise else tuple(draw(st.integers(0, 3)) for _ in range(4))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    least = [max(1, reach[i] - pads[i] - pads[i + 2]) for i in range(2)]
    size = tuple(draw(st.integers(least[i], max(12, least[i]))) for i in range(2))
    channels = draw(st.one_of(st.integers(1, max_channels), st.integers(1, max_channels // 4).map(lambda n: 4 * n)))
    outputs = draw(st.integers(1, 20))
    strides = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    return Shape(size, channels, outputs, kernel, strides, dilations, pads)


def make_case(
    shape: Shape,
    seed: int,
    core: Core = CORTEX_M7,
    largest_weight: int = 127,
    extreme: str = "random",
    ratio: float = 1.0,
    limits: tuple[int, int] = (0, 255),
    weight_bits: int = 8,
) -> tuple[StepContext, Codes]:
    """A step and input codes.

    Args:
        largest_weight: weights lie in -largest_weight .. largest_weight (at most 127).
        extreme: `random`, or `low` and `high` (all input codes 0 or 255, weights of one sign a channel and of full
            size), or `aligned` (input codes 0 or 255 by the sign of the first channel's weight).
        ratio: factor on a ratio of scales that spreads the outputs over the codes.
        limits: least and greatest output code.
    """
    random = np.random.default_rng(seed)
    height, width = shape.output_size
    depth = shape.kernel[0] * shape.kernel[1] * shape.channels
    weight = random.integers(-largest_weight, largest_weight + 1, (shape.outputs, *shape.kernel, shape.channels))
    codes = random.integers(0, 256, (1, *shape.size, shape.channels))
    if extreme in ("low", "high"):
        weight[:] = (largest_weight * np.where(np.arange(shape.outputs) % 2, 1, -1))[:, None, None, None]
        codes[:] = 0 if extreme == "low" else 255
    elif extreme == "aligned":
        weight[:] = np.sign(weight + 0.5) * largest_weight
        codes[:] = np.where(weight[0, 0, 0] > 0, 255, 0)
    weight = np.clip(weight, -(2 ** (weight_bits - 1)), 2 ** (weight_bits - 1) - 1)
    input_zero_point = int(random.integers(0, 256))
    bias = random.integers(-2000, 2000, shape.outputs) - input_zero_point * weight.sum(axis=(1, 2, 3))
    spread = ratio * 128 / (np.sqrt(depth) * 74 * max(largest_weight, 1) * 0.58)
    low, high = limits
    requantize = requantize_for(
        random.uniform(0.5, 1.5, shape.outputs) * spread, int(random.integers(low, high + 1)), low, high
    )
    step = Convolution(
        name="conv", inputs=("in0",), output="out", weight=weight.astype(np.int8), weight_bits=weight_bits,
        bias=bias.astype(np.int32), requantize=requantize, input_zero_point=input_zero_point,
        strides=shape.strides, dilations=shape.dilations, pads=shape.pads,
    )  # fmt: skip
    return context_for(step, [codes.shape], (1, height, width, shape.outputs), core), codes.astype(np.uint8)
