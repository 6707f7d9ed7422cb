"""Multiply-accumulates of the steps."""

from __future__ import annotations

import math

from quantmcu.program import steps
from quantmcu.program.program import Program, Value


def step_macs(step: steps.Step, output: Value) -> int:
    """Multiply-accumulates of one step, taps on padding included; 0 for steps without weights."""
    if isinstance(step, steps.Convolution):
        return output.elements * math.prod(step.weight.shape[1:])
    return 0


def program_macs(program: Program) -> int:
    """Multiply-accumulates of one inference."""
    return sum(step_macs(step, program.output_value(step)) for step in program.steps)
