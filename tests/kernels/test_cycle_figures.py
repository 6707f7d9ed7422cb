"""What kernels say about their cycles is what the emulator counts (GCC -O2, zero wait states)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from kernel_driver import CORTEX_M4, CORTEX_M7, check_on_core, context_for, kernel_named

from quantmcu.codegen.kernel import Core, StepContext
from quantmcu.program import steps
from quantmcu.program.fixed_point import linear_form, requantize_for

pytestmark = pytest.mark.gcc

TOLERANCE = 0.12
ONE = {"name": "step", "inputs": ("in0",), "output": "out"}
TWO = {"name": "step", "inputs": ("in0", "in1"), "output": "out"}
ADD = linear_form([0.7, 0.5], [3, 4], [255, 255], 10, 0, 255)
SCALE = linear_form([0.7], [3], [255], 10, 0, 255)
PRODUCT = requantize_for([0.003], 5, 0, 255)
MAP = (1, 16, 16, 64)
INDEX = np.arange(32, dtype=np.int32) // 2
EXPONENTIALS = np.rint(np.exp(-0.05 * np.arange(256)) * 2**22).astype(np.uint32)


def convolution(
    size: tuple[int, int], channels: int, outputs: int, kernel: int, stride: int, groups: int = 1
) -> tuple[steps.Step, Sequence[tuple[int, ...]], tuple[int, ...]]:
    """With padding that keeps the size."""
    pad = kernel // 2
    weight = np.random.default_rng(1).integers(-127, 128, (outputs, kernel, kernel, channels // groups))
    step = steps.Convolution(
        weight=weight.astype(np.int8), weight_bits=8, bias=np.zeros(outputs, np.int32),
        requantize=requantize_for(np.full(outputs, 0.003), 10, 0, 255), input_zero_point=3,
        strides=(stride, stride), pads=(pad,) * 4, groups=groups, **ONE,
    )  # fmt: skip
    output = (1, *((n + 2 * pad - kernel) // stride + 1 for n in size), outputs)
    return step, [(1, *size, channels)], output


def depthwise(
    height: int, width: int, channels: int, kernel: int, stride: int
) -> tuple[steps.Step, Sequence[tuple[int, ...]], tuple[int, ...]]:
    """One output channel for each input channel."""
    return convolution((height, width), channels, channels, kernel, stride, channels)


def max_pool(kernel: int, pad: int) -> steps.MaxPool:
    """Of stride 2."""
    return steps.MaxPool(kernel=(kernel,) * 2, strides=(2, 2), dilations=(1, 1), pads=(pad,) * 4, **ONE)


def average_pool(kernel: int, pad: int, stride: int, count: int) -> steps.AveragePool:
    """With `count` multipliers."""
    requantize = requantize_for([0.1] * count, 5, 0, 255)
    return steps.AveragePool(
        kernel=(kernel,) * 2, strides=(stride,) * 2, pads=(pad,) * 4, input_zero_point=3, requantize=requantize, **ONE
    )


CASES = {
    "depthwise_generated": [
        depthwise(48, 48, 8, 3, 1),
        depthwise(6, 6, 32, 3, 1),
        depthwise(25, 5, 16, 3, 1),
        depthwise(24, 24, 8, 3, 2),
        depthwise(18, 18, 8, 3, 2),
        depthwise(24, 24, 8, 5, 1),
        depthwise(12, 12, 8, 7, 1),
    ],
    "depthwise_portable": [depthwise(8, 8, 32, 3, 1), depthwise(8, 8, 32, 5, 2)],
    "conv2d_portable": [convolution((8, 8), 64, 16, 1, 1), convolution((6, 6), 16, 16, 3, 1)],
    "linear_generated": [
        (steps.Linear(form=ADD, **TWO), [MAP, MAP], MAP),
        (steps.Linear(form=SCALE, **ONE), [MAP], MAP),
    ],
    "linear_portable": [(steps.Linear(form=ADD, **TWO), [MAP, MAP], MAP)],
    "multiply_dsp": [
        (steps.Multiply(zero_points=(3, 4), requantize=PRODUCT, **TWO), [MAP, MAP], MAP),
        (steps.Multiply(zero_points=(3, 4), requantize=PRODUCT, **TWO), [MAP, (1, 1, 1, 64)], MAP),
    ],
    "multiply_portable": [(steps.Multiply(zero_points=(3, 4), requantize=PRODUCT, **TWO), [MAP, MAP], MAP)],
    "lookup_portable": [(steps.Lookup(table=np.arange(256, dtype=np.uint8), **ONE), [MAP], MAP)],
    "prelu_dsp": [
        (steps.PRelu(input_zero_point=99, requantize=requantize_for([0.9] + [0.2] * 64, 5, 0, 255), **ONE), [MAP], MAP)
    ],
    "max_pool_dsp": [(max_pool(2, 0), [MAP], (1, 8, 8, 64)), (max_pool(3, 1), [MAP], (1, 8, 8, 64))],
    "average_pool_dsp": [
        (average_pool(8, 0, 1, 1), [(1, 8, 8, 64)], (1, 1, 1, 64)),
        (average_pool(3, 1, 2, 9), [MAP], (1, 8, 8, 64)),
    ],
    "average_pool_portable": [(average_pool(8, 0, 1, 1), [(1, 8, 8, 64)], (1, 1, 1, 64))],
    "concatenate_portable": [
        (steps.Concatenate(axis=3, forms=(None, None), **TWO), [(1, 16, 16, 32)] * 2, MAP),
        (steps.Concatenate(axis=3, forms=(None, SCALE), **TWO), [(1, 16, 16, 32)] * 2, MAP),
    ],
    "transpose_portable": [(steps.Transpose(permutation=(0, 3, 1, 2), **ONE), [MAP], (1, 64, 16, 16))],
    "gather_portable": [
        (steps.GatherRowsColumns(rows=INDEX, columns=INDEX, **ONE), [(1, 16, 16, 16)], (1, 32, 32, 16))
    ],
    "resize_linear_portable": [
        (
            steps.ResizeLinear(
                low_rows=INDEX, high_rows=INDEX, row_fractions=INDEX, low_columns=INDEX, high_columns=INDEX,
                column_fractions=INDEX, **ONE,
            ),
            [(1, 16, 16, 16)],
            (1, 32, 32, 16),
        )
    ],
    "detect_outliers_dsp": [
        (steps.DetectOutliers(low=0, high=255, limit=0, **ONE), [(1, 52, 52, 3)], (1,)),
        (steps.DetectOutliers(low=0, high=255, limit=9, **ONE), [(1, 16, 16, 3)], (1,)),
    ],
    "detect_outliers_portable": [
        (steps.DetectOutliers(low=0, high=255, limit=0, **ONE), [(1, 52, 52, 3)], (1,))
    ],
    "softmax_portable": [(steps.Softmax(exponentials=EXPONENTIALS, **ONE), [(1, 1000)], (1, 1000))],
}  # fmt: skip


@pytest.mark.parametrize("core", [CORTEX_M4, CORTEX_M7], ids=lambda core: core.name)
@pytest.mark.parametrize("name", CASES)
def test_cycles_are_those_of_the_emulator(name: str, core: Core) -> None:
    kernel = kernel_named(name)
    rng = np.random.default_rng(7)
    cases: list[tuple[StepContext, list[np.ndarray]]] = []
    for step, inputs, output in CASES[name]:
        codes = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in inputs]
        cases.append((context_for(step, inputs, output, core), codes))
    runs = check_on_core(kernel, core, cases, guard=False)
    said = [kernel.cycles(context) for context, _ in cases]
    assert said == pytest.approx([run.cycles for run in runs], rel=TOLERANCE)
