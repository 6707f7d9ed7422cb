"""Reference of a patch stage: cell after cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from quantmcu.patch.region import Region
from quantmcu.program.stages import Cell, OutlierTest, PatchStage
from quantmcu.program.steps import Step

Array = NDArray[np.uint8] | NDArray[np.int32]
RunStep = Callable[[Step, list[Array], tuple[int, ...]], Array]


def run_stage(
    stage: PatchStage, whole: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]], run_step: RunStep
) -> dict[str, Array]:
    """The outputs of `stage`; `whole` are its inputs and all constants, `shapes` those of its outputs."""
    outputs: dict[str, Array] = {name: np.zeros(shapes[name], np.uint8) for name in stage.outputs}
    kept = _Kept()
    column = -1
    for index, cell in enumerate(stage.cells):
        if stage.narrow_cells and not _is_outlier(stage, index, whole):
            cell = stage.narrow_cells[index]
        if cell.column != column:
            kept.above, column = {}, cell.column
        local = _run_cell(stage, cell, whole, kept, run_step)
        for name, region in cell.results.items():
            outputs[name][_index(region)] = _part(local[name], cell.regions[name], region)
    return outputs


@dataclass
class _Kept:
    """What earlier cells leave.

    Attributes:
        above: by value, the last local array in the column of cells.
        left: by value and row of the map, the columns that the next column of cells takes over.
    """

    above: dict[str, Array] = field(default_factory=dict)
    left: dict[tuple[str, int], Array] = field(default_factory=dict)

    def complete(self, cell: Cell, name: str, fresh: Array) -> Array:
        """`fresh` with the rows above it and the columns left of it that are carried."""
        rows, columns = cell.carried.get(name, (0, 0))
        if columns:
            region = cell.regions[name].rows
            beside = np.empty((1, fresh.shape[1], columns, fresh.shape[3]), fresh.dtype)
            for index, row in enumerate(range(region.start + rows, region.stop)):
                beside[:, index : index + 1] = self.left[name, row][:, :, -columns:]
            fresh = np.concatenate([beside, fresh], axis=2)
        if rows:
            above = self.above[name]
            fresh = np.concatenate([above[:, above.shape[1] - rows :], fresh], axis=1)
        return fresh

    def keep(self, cell: Cell, name: str, local: Array) -> None:
        """Notes what later cells take over."""
        rows, columns = cell.kept[name]
        if rows:
            self.above[name] = local
        for row in range(cell.carried.get(name, (0, 0))[0], local.shape[1] if columns else 0):
            self.left[name, cell.regions[name].rows.start + row] = local[:, row : row + 1, local.shape[2] - columns :]


def _is_outlier(stage: PatchStage, index: int, whole: Mapping[str, Array]) -> bool:
    """Whether cell `index` is of the outlier class."""
    if not isinstance(stage.classes, OutlierTest):
        return stage.classes[index]
    codes = whole[stage.classes.tensor][_index(stage.cells[index].regions[stage.classes.tensor])]
    return stage.classes.is_outlier(codes.astype(np.uint8, copy=False))


def _run_cell(
    stage: PatchStage, cell: Cell, whole: Mapping[str, Array], kept: _Kept, run_step: RunStep
) -> dict[str, Array]:
    local: dict[str, Array] = {}
    for name in stage.inputs:
        if name in cell.values:
            rows, columns = cell.carried.get(name, (0, 0))
            given = whole[name][_index(cell.regions[name])]
            local[name] = kept.complete(cell, name, given[:, rows:, columns:])
    for name in cell.carried.keys() - local.keys():
        fresh = cell.fresh(name)
        if not fresh.elements:  # nothing of it is computed anew
            local[name] = kept.complete(cell, name, np.empty(fresh.shape, np.uint8))
    for name in stage.order:
        step = cell.steps.get(name)
        if step is None:
            continue
        operands = [local[n] if n in local else whole[n] for n in step.inputs]
        result = run_step(step, operands, cell.fresh(step.output).shape)
        local[step.output] = kept.complete(cell, step.output, result)
    for name in cell.kept:
        kept.keep(cell, name, local[name])
    return local


def _index(region: Region) -> tuple[slice, ...]:
    return (
        slice(None),
        slice(region.rows.start, region.rows.stop),
        slice(region.columns.start, region.columns.stop),
    )


def _part(array: Array, given: Region, wanted: Region) -> Array:
    """The part `wanted` of an array that is the part `given` of a map."""
    return array[
        :,
        wanted.rows.start - given.rows.start : wanted.rows.stop - given.rows.start,
        wanted.columns.start - given.columns.start : wanted.columns.stop - given.columns.start,
    ]
