"""Random convolutions of every kind (hypothesis strategies)."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from kernel_cases import Case, Shape, codes_256, codes_of, geometries, requantizations, seeds
from numpy.typing import NDArray

from quantmcu.program import steps


@st.composite
def square_geometries(
    draw: st.DrawFn,
) -> tuple[Shape, tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int, int, int], tuple[int, int]]:
    """What most networks use: square kernels, strides 1 and 2, padding that keeps the size."""
    kernel, stride = draw(st.sampled_from([1, 3, 5, 7])), draw(st.sampled_from([1, 2]))
    pad = kernel // 2
    pads = draw(st.sampled_from([(pad,) * 4, (0, 0, 0, 0), (pad // 2, 0, pad, pad)]))
    size = tuple(draw(st.integers(kernel, 26)) for _ in range(2))
    output = tuple((size[i] + pads[i] + pads[i + 2] - kernel) // stride + 1 for i in range(2))
    return size, (kernel, kernel), (stride, stride), (1, 1), pads, (output[0], output[1])


@st.composite
def weights(draw: st.DrawFn, shape: Shape) -> NDArray[np.int8]:
    """Weights: random, or all at an extreme."""
    rng = np.random.default_rng(draw(seeds))
    kind = draw(st.sampled_from(["random", "random", "random", "most", "least", "signs"]))
    if kind == "random":
        return rng.integers(-127, 128, shape).astype(np.int8)
    if kind == "signs":
        return (rng.integers(0, 2, shape) * 254 - 127).astype(np.int8)
    return np.full(shape, 127 if kind == "most" else -127, np.int8)


@st.composite
def convolutions(draw: st.DrawFn, kind: str = "any", square: bool = False) -> Case:
    """kind: any, dense, depthwise (one output channel a group), multiplied (several) or grouped."""
    geometry = square_geometries() if square or draw(st.booleans()) else geometries()
    size, kernel, strides, dilations, pads, output = draw(geometry)
    if kind == "any":
        kind = draw(st.sampled_from(["dense", "depthwise", "multiplied", "grouped"]))
    channels = draw(st.one_of(st.integers(1, 40), st.sampled_from([4, 8, 16, 24])))
    groups, group_inputs, outputs = 1, channels, draw(st.integers(1, 20))
    if kind == "depthwise":
        groups, group_inputs, outputs = channels, 1, channels
    elif kind == "multiplied":
        channels = min(channels, 12)
        groups, group_inputs, outputs = channels, 1, channels * draw(st.integers(2, 3))
    elif kind == "grouped":
        groups = draw(st.integers(2, 4))
        group_inputs = draw(st.integers(1, 6))
        channels, outputs = groups * group_inputs, groups * draw(st.integers(1, 5))
    weight = draw(weights((outputs, *kernel, group_inputs)))
    rng = np.random.default_rng(draw(seeds))
    zero_point = draw(codes_256)
    total = weight.reshape(outputs, -1).astype(np.int64).sum(axis=1)
    reach = 127.0 * 255 * weight[0].size ** 0.5
    bias = (rng.integers(-2000, 2000, outputs) - zero_point * total).astype(np.int32)
    input_shape, output_shape = (1, *size, channels), (1, *output, outputs)
    step = steps.Convolution(
        name="step",
        inputs=("in0",),
        output="out",
        weight=weight,
        weight_bits=8,
        bias=bias,
        requantize=draw(requantizations(outputs, reach)),
        input_zero_point=zero_point,
        strides=strides,
        dilations=dilations,
        pads=pads,
        groups=groups,
    )
    return Case(step, (input_shape,), output_shape, draw(codes_of(input_shape)))
