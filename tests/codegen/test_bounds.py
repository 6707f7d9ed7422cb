"""The theoretical bounds, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from quantmcu.codegen.bounds import theoretical_cycles
from quantmcu.codegen.kernel import Core, StepContext
from quantmcu.program import steps
from quantmcu.program.fixed_point import requantize_for
from quantmcu.program.program import Value

M0, M4, M7 = Core("cortex-m0plus", False, False), Core("cortex-m4", True, True), Core("cortex-m7", True, True)


def convolution(core: Core, bits: int = 8, weight_bits: int = 8) -> StepContext:
    """8x8 pixels, 16 channels to 32 by 3x3: 294,912 MACs, 4,608 weights."""
    step = steps.Convolution(
        name="c",
        inputs=("x",),
        output="y",
        weight=np.zeros((32, 3, 3, 16), np.int8),
        weight_bits=weight_bits,
        bias=np.zeros(32, np.int32),
        strides=(1, 1),
        dilations=(1, 1),
        pads=(1, 1, 1, 1),
        input_zero_point=0,
        requantize=requantize_for(np.full(32, 0.01), 0, 0, 255),
    )
    return StepContext(step, (Value("x", (1, 8, 8, 16), bits),), Value("y", (1, 8, 8, 32), bits), core)


@pytest.mark.parametrize(
    ("core", "bits", "weight_bits", "macs_per_cycle"),
    [
        (M4, 8, 8, 2),
        (M7, 8, 8, 2),
        (M4, 8, 4, 4),
        (M4, 8, 2, 4),
        (M7, 4, 4, 9),
        (M7, 4, 2, 9),
        (M7, 2, 2, 16),
        (M0, 8, 8, 0.5),
    ],
)
def test_multiplications_bound_convolutions(core: Core, bits: int, weight_bits: int, macs_per_cycle: float) -> None:
    assert theoretical_cycles(convolution(core, bits, weight_bits)) == pytest.approx(294_912 / macs_per_cycle)


def test_bytes_moved_bound_the_rest() -> None:
    step = steps.Reshape(name="r", inputs=("x",), output="y")
    values = (Value("x", (1, 4096), 8),), Value("y", (1, 4096), 8)
    assert theoretical_cycles(StepContext(step, *values, M4)) == 1024 + 1024
    assert theoretical_cycles(StepContext(step, *values, M7)) == 512 + 1024
