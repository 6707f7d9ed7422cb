"""Kernels of packed maps and weights against the reference: any bits for input, weights and output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import kernel_driver
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from kernel_steps import ANY_STEP, Case, convolutions

from quantmcu.codegen.kernel import Core, Kernel, StepContext
from quantmcu.codegen.packed import pack_weights
from quantmcu.codegen.registry import Facts, all_kernels, choose_kernel
from quantmcu.ir.tensor import QParams
from quantmcu.program import steps
from quantmcu.program.fixed_point import LinearForm, Requantize, requantize_for
from quantmcu.program.program import Value

KERNELS = [  # "unpacked" too
    kernel.name for kernel in all_kernels() if "packed" in kernel.name and "generated" not in kernel.name
]
BITS = st.sampled_from([8, 4, 2])
SAME_BITS = (steps.MaxPool, *(steps.Slice, steps.Pad, steps.GatherRowsColumns, steps.Transpose, steps.Reshape))


def narrowed(case: Case, input_bits: Sequence[int], output_bits: int, weight_bits: int = 8) -> Case:
    """The case with codes of fewer bits."""
    highest = 2**output_bits - 1
    codes = tuple(codes & (2**bits - 1) for codes, bits in zip(case.codes, input_bits, strict=True))
    step = case.step

    def clamped(form: Requantize | LinearForm) -> Requantize | LinearForm:
        return replace(form, low=min(form.low, highest), high=min(form.high, highest))  # type: ignore[type-var]

    if isinstance(step, steps.Lookup):
        step = replace(step, table=step.table[: 2 ** input_bits[0]] & highest)
    elif isinstance(step, steps.Concatenate):
        forms = [form and clamped(form) for form in step.forms]
        forms = [
            form if form is not None or bits <= output_bits else LinearForm(0, (1,), bits - output_bits, 0, highest)
            for form, bits in zip(forms, input_bits, strict=True)
        ]
        step = replace(step, forms=tuple(forms))  # type: ignore[arg-type]
    elif isinstance(step, steps.Pad):
        step = replace(step, value=step.value & highest)
    elif isinstance(step, steps.Softmax):
        step = replace(step, exponentials=step.exponentials[: 2 ** input_bits[0]])
    elif isinstance(step, steps.Linear):
        step = replace(step, form=clamped(step.form))  # type: ignore[arg-type]
    elif hasattr(step, "requantize"):
        step = replace(step, requantize=clamped(step.requantize))  # type: ignore[call-arg]
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


@pytest.mark.parametrize("name", KERNELS)
def test_packed_kernel_equals_reference(name: str) -> None:
    kernel = kernel_driver.kernel_named(name)
    computed = 0

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(drawn=narrow_cases(kernel))
    def compare(drawn: tuple[Case, tuple[int, ...], int]) -> None:
        nonlocal computed
        case, input_bits, output_bits = drawn
        core = kernel_driver.CORTEX_M4 if "dsp" in name else kernel_driver.CORTEX_M0
        context = context_of(case, input_bits, output_bits, core)
        assume(kernel.unsupported(context) is None)
        computed += 1
        for in_place in (None, *kernel.in_place_inputs(context)):
            output = kernel_driver.run_on_host(kernel, context, case.codes, in_place)
            kernel_driver.check(context, case.codes, output)

    compare()
    assert computed >= 8, "hardly any random step is of a form that this kernel supports"


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.data())
def test_every_step_of_any_bits_has_a_kernel(data: st.DataObject) -> None:
    step_type = data.draw(st.sampled_from(list(ANY_STEP)))
    kernel = next(kernel for kernel in all_kernels() if kernel.step_type is step_type)
    case, input_bits, output_bits = data.draw(narrow_cases(kernel))
    context = context_of(case, input_bits, output_bits)
    chosen = choose_kernel([(context, 1)], Facts(), lambda flash: not flash.code)
    kernel_driver.check(context, case.codes, kernel_driver.run_on_host(chosen, context, case.codes))


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_weights_are_packed_lowest_bits_first(bits: int) -> None:
    limit = 2 ** (bits - 1) - 1
    rows = np.random.default_rng(bits).integers(-limit, limit + 1, (3, 7)).astype(np.int8)
    packed = pack_weights(rows, bits)
    assert packed.shape == (3, -(-7 * bits // 8))
    for row in range(3):
        as_number = int.from_bytes(packed[row].tobytes(), "little")
        codes = [as_number >> (i * bits) & (2**bits - 1) for i in range(7)]
        assert [code - 2**bits if code >> (bits - 1) else code for code in codes] == rows[row].tolist()


@pytest.mark.gcc
@pytest.mark.parametrize("core", [kernel_driver.CORTEX_M0, kernel_driver.CORTEX_M4, kernel_driver.CORTEX_M7], ids=str)
@pytest.mark.parametrize("kind", ["conv2d_portable", "conv2d_dsp", "depthwise_portable"])
def test_packed_convolutions_on_emulated_cores(core: Core, kind: str) -> None:
    if "dsp" in kind and not core.has_dsp:
        pytest.skip(f"{core.name} has no DSP instructions")
    rng, depthwise = np.random.default_rng(5), "depthwise" in kind
    kernel = kernel_driver.kernel_named(f"packed_{kind}")
    weight = rng.integers(-127, 128, (13, 3, 3, 1 if depthwise else 13)).astype(np.int8)
    step = steps.Convolution(
        name="step", inputs=("in0",), output="out", weight=weight, weight_bits=8,
        bias=rng.integers(-999, 999, 13).astype(np.int32),
        requantize=requantize_for(rng.uniform(0.001, 0.01, 13), 3, 0, 15), input_zero_point=5,
        pads=(1, 1, 1, 1), groups=13 if depthwise else 1,
    )
    shape = (1, 5, 6, 13)
    case = Case(step, (shape,), shape, (rng.integers(0, 256, shape, dtype=np.uint8),))
    for input_bits, weight_bits, output_bits in ((4, 4, 4), (8, 4, 8), (2, 2, 4)):
        narrow = narrowed(case, (input_bits,), output_bits, weight_bits)
        context = context_of(narrow, (input_bits,), output_bits, core)
        run = kernel_driver.run_on_core(kernel, context, narrow.codes)
        kernel_driver.check(context, narrow.codes, run.output)
