"""A step with input codes, and what random steps of all kinds are made of (hypothesis strategies)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from quantmcu.program import steps
from quantmcu.program.fixed_point import Requantize, requantize_for

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """A step, the shapes of its inputs and output, the output's bits, and input codes."""

    step: steps.Step
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    codes: tuple[NDArray[np.uint8], ...]
    output_bits: int = 8

    def __repr__(self) -> str:
        fields = {name: value for name, value in vars(self.step).items() if not isinstance(value, np.ndarray)}
        return f"Case({type(self.step).__name__} {fields}, {self.input_shapes} -> {self.output_shape})"


codes_256 = st.integers(0, 255)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def codes_of(draw: st.DrawFn, *shapes: Shape) -> tuple[NDArray[np.uint8], ...]:
    """Codes for the shapes: random, or all 0, or all 255."""
    kind = draw(st.sampled_from(["random", "random", "random", "zeros", "largest", "extremes"]))
    rng = np.random.default_rng(draw(seeds))
    if kind == "zeros":
        return tuple(np.zeros(shape, np.uint8) for shape in shapes)
    if kind == "largest":
        return tuple(np.full(shape, 255, np.uint8) for shape in shapes)
    if kind == "extremes":
        return tuple((rng.integers(0, 2, shape) * 255).astype(np.uint8) for shape in shapes)
    return tuple(rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes)


@st.composite
def clamps(draw: st.DrawFn) -> tuple[int, int]:
    """Lowest and highest code: mostly no clamp."""
    if draw(st.booleans()):
        return 0, 255
    low = draw(codes_256)
    return low, draw(st.integers(low, 255))


@st.composite
def requantizations(draw: st.DrawFn, count: int, reach: float, signed: bool = False) -> Requantize:
    """One that spreads accumulators up to `reach` over the codes, more or less; with or without a left shift."""
    rng = np.random.default_rng(draw(seeds))
    spread = draw(st.sampled_from([0.2, 1.0, 1.0, 4.0, 200.0]))
    ratios = spread * 255 / max(reach, 1.0) * rng.uniform(0.3, 1.0, count)
    if signed:
        ratios *= rng.choice([-1, 1], count)
    low, high = draw(clamps())
    return requantize_for(ratios, draw(codes_256), low, high)


@st.composite
def geometries(
    draw: st.DrawFn, largest_kernel: int = 5, dilated: bool = True
) -> tuple[Shape, tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int, int, int], tuple[int, int]]:
    """Input height and width, kernel, strides, dilations, pads, output height and width."""
    kernel = draw(st.tuples(*[st.integers(1, largest_kernel)] * 2))
    if draw(st.booleans()):
        kernel = draw(st.sampled_from([(1, 1), (3, 3), (5, 5)]))
    strides = draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (2, 2), (1, 2), (3, 1)]))
    dilations = draw(st.sampled_from([(1, 1), (1, 1), (1, 1), (2, 1), (2, 3)])) if dilated else (1, 1)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    pads = draw(st.one_of(st.just((0, 0, 0, 0)), st.tuples(*[st.integers(0, reach[i % 2] - 1) for i in range(4)])))
    size = tuple(draw(st.integers(max(1, reach[i] - pads[i] - pads[i + 2]), reach[i] + 11)) for i in range(2))
    output = tuple((size[i] + pads[i] + pads[i + 2] - reach[i]) // strides[i] + 1 for i in range(2))
    return size, kernel, strides, dilations, pads, (output[0], output[1])
