"""Kernels of packed maps and weights against the reference: any bits for input, weights and output."""

from __future__ import annotations

import kernel_driver
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from kernel_cases import Case
from kernel_steps import ANY_STEP
from packed_cases import context_of, narrow_cases, narrowed

from quantmcu.codegen.kernel import Core
from quantmcu.codegen.packed import pack_weights
from quantmcu.codegen.registry import Facts, all_kernels, choose_kernel
from quantmcu.program import steps
from quantmcu.program.fixed_point import requantize_for
from tests.thorough import examples

KERNELS = [  # "unpacked" too
    kernel.name for kernel in all_kernels() if "packed" in kernel.name and "generated" not in kernel.name
]


@pytest.mark.parametrize("name", KERNELS)
def test_packed_kernel_equals_reference(name: str) -> None:
    kernel = kernel_driver.kernel_named(name)
    computed = 0

    @settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
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


@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
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
