"""What result.json says about the geometry of patch stages: which part of a stage's input each patch depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quantmcu.patch.region import Interval
from quantmcu.program.program import Program
from quantmcu.program.stages import PatchStage


def describe_regions(program: Program) -> list[dict[str, Any]]:
    """For each stage its input and, by row and by column of the grid, what a patch writes and what it depends on.

    Receptive fields are separable: that of patch (r, c) is the one of row r times the one of column c.

    Args:
        program: with stages that carry nothing, so that the region of the input is the whole receptive field.
    """
    return [_regions(stage, program) for stage in program.steps if isinstance(stage, PatchStage)]


def _regions(stage: PatchStage, program: Program) -> dict[str, Any]:
    maps = [name for name in stage.inputs if len(program.values[name].shape) == 4]
    source = max(maps, key=lambda name: program.values[name].shape[1] * program.values[name].shape[2])
    rows = [next(cell for cell in stage.cells if cell.row == row) for row in range(stage.grid[0])]
    columns = [next(cell for cell in stage.cells if cell.column == column) for column in range(stage.grid[1])]
    return {
        "input": source,
        "input_shape": list(program.values[source].shape),
        "rows": _axis([(cell.results[stage.output].rows, cell.regions[source].rows) for cell in rows]),
        "columns": _axis([(cell.results[stage.output].columns, cell.regions[source].columns) for cell in columns]),
    }


def _axis(pairs: Sequence[tuple[Interval, Interval]]) -> list[dict[str, list[int]]]:
    return [
        {"part": [part.start, part.stop], "receptive_field": [field.start, field.stop]} for part, field in pairs
    ]
