"""Patch stages of 4-bit maps and weights: packed multiplication in every cell, the same bytes as the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from quantmcu.codegen.kernel import Core
from quantmcu.codegen.kernels.packed_bands import OnBands
from quantmcu.codegen.select import StageSelection, flat, select_kernels
from quantmcu.ir import QParams
from quantmcu.patch.stage import StagePlan, split_program
from quantmcu.program import Program, requantize_for, steps
from tests.patch.generated_c import assert_c_equals_reference
from tests.programs import ProgramBuilder

QP = QParams(4, 0.1, 7)


class NarrowBuilder(ProgramBuilder):
    """Convolutions of 4-bit maps and weights."""

    def program(self, outputs: tuple[str, ...] | None = None) -> Program:
        program = super().program(outputs)
        values = {name: replace(value, bits=4, qparams=QP) for name, value in program.values.items()}
        return replace(program, values=values, steps=tuple(self._narrow(step) for step in program.steps))

    def inputs(self) -> dict[str, np.ndarray]:
        return {name: codes & 15 for name, codes in super().inputs().items()}

    @staticmethod
    def _narrow(step: steps.Step) -> steps.Step:
        assert isinstance(step, steps.Convolution)
        weight = np.rint(step.weight / 18).astype(np.int8)
        count = weight[0].size
        return replace(
            step, weight=weight, weight_bits=4, input_zero_point=7, bias=(step.bias // 500).astype(np.int32),
            requantize=requantize_for(np.full(len(weight), 0.3 / count**0.5), 7, 0, 15),
        )  # fmt: skip


def narrow_builder() -> NarrowBuilder:
    """Kernels 3x3 and 1x1, strides, channels that fill no whole words."""
    builder = NarrowBuilder((19, 18, 8), seed=3)
    builder.conv(12, strides=(2, 2))
    builder.conv(24, kernel=(1, 1), pads=(0, 0, 0, 0))
    builder.conv(7, kernel=(3, 3))
    builder.conv(8, kernel=(1, 1), pads=(0, 0, 0, 0))
    return builder


@pytest.mark.parametrize("grid", [(1, 1), (4, 1), (3, 2), (5, 4)])
def test_cells_equal_the_reference(grid: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OnBands, "unsupported", lambda self, context: "another kernel is tested")
    builder = narrow_builder()
    carrying = frozenset(builder.values) if grid[1] == 1 else frozenset()
    program = builder.program()
    patched = split_program(program, [StagePlan(builder.steps[-1].name, grid, carrying)])
    selections = select_kernels(patched, Core("cortex-m7", True, True))
    assert any(isinstance(item, StageSelection) for item in selections)
    names = [selection.kernel.name for selection in flat(selections) if selection.kernel is not None]
    assert names.count("packed_outer_generated") == len(program.steps), names
    assert_c_equals_reference(builder, patched)
