"""What result.json says about the branches of patch stages: which cells run which bits, and how often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from quantmcu.program.program import Program
from quantmcu.program.stages import Cell, OutlierTest, PatchStage

OUTLIER, NARROW, ALL = "outlier", "narrow", "all"
"""Classes of cells; "all" where a stage has no classes."""


def describe_branches(program: Program, shares: Sequence[float] = ()) -> list[dict[str, Any]]:
    """Every branch of every patch stage: one a cell, or one a class where the class is decided at run time.

    Args:
        program: as it is executed.
        shares: by cell of the stage that decides at run time: in which share of the calibration samples the cell was of
            the outlier class.
    """
    return [
        {
            "stage": stage.order[-1],
            "row": cell.row,
            "column": cell.column,
            "class": kind,
            "share": round(share, 4),
            "bits": {name: cell.values[name].bits for name in cell.regions},
        }
        for stage in program.steps
        if isinstance(stage, PatchStage)
        for index in range(len(stage.cells))
        for kind, cell, share in _branches(stage, index, shares)
    ]


def _branches(stage: PatchStage, index: int, shares: Sequence[float]) -> Iterator[tuple[str, Cell, float]]:
    """The classes that cell `index` may have, what it runs then, and how often."""
    if not stage.narrow_cells:
        yield ALL, stage.cells[index], 1.0
    elif isinstance(stage.classes, OutlierTest):
        yield OUTLIER, stage.cells[index], shares[index]
        yield NARROW, stage.narrow_cells[index], 1 - shares[index]
    elif stage.classes[index]:
        yield OUTLIER, stage.cells[index], 1.0
    else:
        yield NARROW, stage.narrow_cells[index], 1.0
