"""Random steps with maps and weights of 8, 4 and 2 bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import kernel_driver
import numpy as np
from convolution_steps import convolutions
from hypothesis import strategies as st
from kernel_cases import Case
from kernel_steps import ANY_STEP

from quantmcu.codegen.kernel import Core, Kernel, StepContext
from quantmcu.ir.tensor import QParams
from quantmcu.program import steps
from quantmcu.program.fixed_point import LinearForm, Requantize
from quantmcu.program.program import Value

Form = TypeVar("Form", Requantize, LinearForm)
BITS = st.sampled_from([8, 4, 2])
SAME_BITS = (steps.MaxPool, *(steps.Slice, steps.Pad, steps.GatherRowsColumns, steps.Transpose, steps.Reshape))


def narrowed(case: Case, input_bits: Sequence[int], output_bits: int, weight_bits: int = 8) -> Case:
    """The case with codes of fewer bits."""
    highest = 2**output_bits - 1
    codes = tuple(codes & (2**bits - 1) for codes, bits in zip(case.codes, input_bits, strict=True))
    step = case.step

    def clamped(form: Form) -> Form:
        return replace(form, low=min(form.low, highest), high=min(form.high, highest))

    if isinstance(step, steps.Lookup):
        step = replace(step, table=step.table[: 2 ** input_bits[0]] & highest)
    elif isinstance(step, steps.Concatenate):
        forms = [form and clamped(form) for form in step.forms]
        forms = [
            form if form is not None or bits <= output_bits else LinearForm(0, (1,), bits - output_bits, 0, highest)
            for form, bits in zip(forms, input_bits, strict=True)
        ]
        step = replace(step, forms=tuple(forms))
    elif isinstance(step, steps.Pad):
        step = replace(step, value=step.value & highest)
    elif isinstance(step, steps.Softmax):
        step = replace(step, exponentials=step.exponentials[: 2 ** input_bits[0]])
    elif isinstance(step, steps.Linear):
        step = replace(step, form=clamped(step.form))
    elif hasattr(step, "requantize"):
        step = replace(step, requantize=clamped(step.requantize))
    if isinstance(step, steps.Convolution):
        limit = 2 ** (weight_bits - 1) - 1
        weight = np.sign(step.weight) * (np.abs(step.weight) * limit // 127 if weight_bits > 2 else 1)
        weight = np.where(step.weight == 0, 0, weight).astype(np.int8)
        zero_point = step.input_zero_point & (2 ** input_bits[0] - 1)
        step = replace(step, weight=weight, weight_bits=weight_bits, input_zero_point=zero_point)
    return replace(case, step=step, codes=codes)


@st.composite
def narrow_cases(draw: st.DrawFn, kernel: Kernel) -> tuple[Case, tuple[int, ...], int]:
    """A step of the kernel's type with random bits everywhere; bits of the inputs and of the output."""
    strategy = ANY_STEP[kernel.step_type]()
    if kernel.step_type is steps.Convolution:
        kinds = dict.fromkeys(("packed_depthwise_portable", "depthwise_generated"), "depthwise")
        kinds["packed_conv2d_dsp"] = "dense"
        strategy = convolutions(kinds.get(kernel.name, "any"))
    case = draw(strategy)
    input_bits = tuple(draw(BITS) for _ in case.codes)
    output_bits = draw(BITS)
    if isinstance(case.step, SAME_BITS) or (isinstance(case.step, steps.Concatenate) and draw(st.booleans())):
        input_bits = (output_bits,) * len(case.codes)
    if isinstance(case.step, steps.DetectOutliers):  # of network inputs, which have 8 bits
        input_bits, output_bits = (8,), 8
    if isinstance(case.step, steps.Softmax | steps.ArgMax):
        output_bits = case.output_bits
    if isinstance(case.step, steps.ResizeLinear):
        output_bits = max(output_bits, input_bits[0])
    return narrowed(case, input_bits, output_bits, draw(BITS)), input_bits, output_bits


def context_of(
    case: Case, input_bits: Sequence[int], output_bits: int, core: Core = kernel_driver.CORTEX_M0
) -> StepContext:
    def value(name: str, shape: tuple[int, ...], bits: int) -> Value:
        return Value(name, shape, bits, QParams(bits, 1.0, 0) if bits <= 8 else None)

    inputs = tuple(
        value(f"in{i}", shape, bits) for i, (shape, bits) in enumerate(zip(case.input_shapes, input_bits, strict=True))
    )
    return StepContext(case.step, inputs, value("out", case.output_shape, output_bits), core)
