"""Patch stages whose cells run one of two branches: with 8 bits for the outlier class, with fewer for the others.

Both branches come from the same network quantized twice, with equal weights and equal quantization of the stage's
inputs and outputs, so that the parts of the output are stitched in one scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from quantmcu.program.program import Program
from quantmcu.program.stages import Cell, OutlierTest, PatchStage

NARROW = "/narrow"
"""Ends the names of the steps of cells that are not of the outlier class."""


def with_static_classes(outlier: Program, narrow: Program, is_outlier: Sequence[bool]) -> Program:
    """The program whose first patch stage takes each cell from one of two, as `is_outlier` says in the cells' order.

    Raises:
        ValueError: the programs don't belong together, or rows are carried between cells.
    """
    wide, few = _stages(outlier, narrow)
    if len(is_outlier) != len(wide.cells):
        raise ValueError(f"{len(is_outlier)} classes for {len(wide.cells)} cells")
    classes = tuple(bool(chosen) for chosen in is_outlier)
    return _with_stage(outlier, wide, replace(wide, narrow_cells=_narrow(few), classes=classes))


def with_dynamic_classes(outlier: Program, narrow: Program, test: OutlierTest) -> Program:
    """The program whose first patch stage chooses between the cells of two at run time.

    Raises:
        ValueError: the programs don't belong together, rows are carried between cells, or the tested tensor is no input
            of the stage.
    """
    wide, few = _stages(outlier, narrow)
    if test.tensor not in wide.inputs:
        raise ValueError(f"{test.tensor} is not among the inputs {wide.inputs} of the stage")
    return _with_stage(outlier, wide, replace(wide, narrow_cells=_narrow(few), classes=test))


def _stages(outlier: Program, narrow: Program) -> tuple[PatchStage, PatchStage]:
    """The first patch stage of both, which have to fit together."""
    wide, few = (next(step for step in p.steps if isinstance(step, PatchStage)) for p in (outlier, narrow))
    if (wide.name, wide.grid, wide.order, wide.outputs) != (few.name, few.grid, few.order, few.outputs):
        raise ValueError("the two branches have different stages")
    if wide.carrying or few.carrying:
        raise ValueError("cells of different classes can't carry rows to each other: their scales differ")
    for name in (*wide.inputs, *wide.outputs):
        if outlier.values[name].qparams != narrow.values[name].qparams:
            raise ValueError(f"{name} is quantized differently in the two branches")
    return wide, few


def _with_stage(program: Program, old: PatchStage, new: PatchStage) -> Program:
    return replace(program, steps=tuple(new if step is old else step for step in program.steps))


def _narrow(stage: PatchStage) -> tuple[Cell, ...]:
    """Its cells, with names of their own for the steps: they have other integers than those of the outlier class."""
    return tuple(
        replace(cell, steps={name: replace(step, name=f"{name}{NARROW}") for name, step in cell.steps.items()})
        for cell in stage.cells
    )
