"""Runs an integer program in NumPy: the definition of every result (docs/numerics.md)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from quantmcu.program import steps
from quantmcu.program.program import Program
from quantmcu.program.stages import PatchStage
from quantmcu.reference import convolution, elementwise, movement, pooling
from quantmcu.reference.patches import run_stage

Array = NDArray[np.uint8] | NDArray[np.int32]


def execute(program: Program, inputs: Mapping[str, NDArray[np.uint8]], *, keep_all: bool = False) -> dict[str, Array]:
    """Outputs of `program` by name, unpacked codes in the values' shapes; with `keep_all`, every value.

    Raises:
        ValueError: an input is missing, has another shape, or a code that its bits can't hold.
    """
    values: dict[str, Array] = {v.name: v.data for v in program.values.values() if v.data is not None}
    for name in program.inputs:
        value, codes = program.values[name], inputs[name]
        if codes.shape != value.shape or codes.dtype != np.uint8 or int(codes.max(initial=0)) > value.highest_code:
            raise ValueError(
                f"input {name} takes uint8 codes 0 .. {value.highest_code} of shape {value.shape}, "
                f"not {codes.dtype} up to {codes.max(initial=0)} of shape {codes.shape}"
            )
        values[name] = codes
    for step in program.steps:
        if isinstance(step, PatchStage):
            shapes = {name: program.values[name].shape for name in step.outputs}
            values.update(run_stage(step, values, shapes, execute_step))
            continue
        shape = program.output_value(step).shape
        values[step.output] = execute_step(step, [values[name] for name in step.inputs], shape)
    return values if keep_all else {name: values[name] for name in program.outputs}


def execute_step(step: steps.Step, inputs: list[Array], output_shape: tuple[int, ...]) -> Array:
    """Result of one step on unpacked codes."""
    codes = [array.astype(np.uint8, copy=False) for array in inputs]
    match step:
        case steps.Convolution():
            return convolution.convolution(step, codes[0], output_shape)
        case steps.Linear():
            return elementwise.linear(step, *codes)
        case steps.Multiply():
            return elementwise.multiply(step, codes[0], codes[1])
        case steps.Lookup():
            return elementwise.lookup(step, codes[0])
        case steps.PRelu():
            return elementwise.prelu(step, codes[0])
        case steps.MaxPool():
            return pooling.max_pool(step, codes[0], output_shape)
        case steps.AveragePool():
            return pooling.average_pool(step, codes[0], output_shape)
        case steps.Concatenate():
            return movement.concatenate(step, *codes)
        case steps.Slice():
            return movement.slice_(step, codes[0])
        case steps.Pad():
            return movement.pad(step, codes[0])
        case steps.GatherRowsColumns():
            return movement.gather_rows_columns(step, codes[0])
        case steps.ResizeLinear():
            return movement.resize_linear(step, codes[0])
        case steps.Reshape():
            return codes[0].reshape(output_shape)
        case steps.Transpose():
            return movement.transpose(step, codes[0])
        case steps.Softmax():
            return elementwise.softmax(step, codes[0])
        case steps.ArgMax():
            return elementwise.argmax(step, codes[0], output_shape)
        case steps.DetectOutliers():
            return elementwise.detect_outliers(step, codes[0], output_shape)
        case _:
            raise ValueError(f"no reference for {type(step).__name__}")
