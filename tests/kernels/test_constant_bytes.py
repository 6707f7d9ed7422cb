"""Bytes of constants, which kernels count without packing them, are those of what is emitted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_driver import CORTEX_M4, CORTEX_M7
from matmul_cases import Shape, make_case, shapes

from quantmcu.codegen.kernel import Constant, Core, StepContext, Words
from quantmcu.codegen.registry import kernels_for
from tests.thorough import examples

CORES = [CORTEX_M7, CORTEX_M4, replace(CORTEX_M7, optimize="speed")]
COUNTED = {"matmul_generated", "packed_outer_generated", "packed_outer_dense_generated"}


def narrowed(context: StepContext, input_bits: int, output_bits: int) -> StepContext:
    inputs = tuple(replace(value, bits=input_bits) for value in context.inputs)
    return replace(context, inputs=inputs, output=replace(context.output, bits=output_bits))


def check(shape: Shape, core: Core, weight_bits: int, map_bits: tuple[int, int] = (8, 8)) -> set[str]:
    """Compares each kernel's count with its arrays; names of the kernels that pack words when they are asked for."""
    largest = min(2 ** (weight_bits - 1) - 1, 127)
    context = narrowed(make_case(shape, 0, core, largest, weight_bits=weight_bits)[0], *map_bits)
    counted = set()
    for kernel in kernels_for(context.step):
        if kernel.unsupported(context) is not None:
            continue
        for constant in kernel.lower(context).constants:
            assert constant.nbytes == len(constant.data.tobytes()), kernel.name
            if isinstance(constant.source, Words):
                counted.add(kernel.name)
    return counted


@settings(max_examples=examples(60), deadline=None)
@given(
    shapes(max_channels=200),
    st.sampled_from(CORES),
    st.sampled_from([8, 4, 2]),
    st.tuples(*[st.sampled_from([8, 4, 2])] * 2),
)
def test_counts_what_it_packs(shape: Shape, core: Core, weight_bits: int, map_bits: tuple[int, int]) -> None:
    check(shape, core, weight_bits, map_bits)


@pytest.mark.parametrize(("channels", "outputs"), [(960, 160), (13, 7)])
def test_kernels_that_pack_count(channels: int, outputs: int) -> None:
    shape = Shape((7, 7), channels, outputs)
    assert check(shape, CORTEX_M7, 8) == {"matmul_generated"}
    assert check(shape, CORTEX_M7, 4) >= COUNTED
    assert check(shape, CORTEX_M7, 2) >= COUNTED - {"matmul_generated"}


def test_a_wrong_count_is_refused() -> None:
    constant = Constant("weights", Words(3, lambda: np.zeros(4, np.uint32)))
    assert constant.nbytes == 12
    with pytest.raises(ValueError, match="weights has 16 bytes, not 12 as counted"):
        np.asarray(constant.data)
