"""Reference of a patch stage: cell after cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
    kept: dict[str, Array] = {}
    column = -1
    for index, cell in enumerate(stage.cells):
        if stage.narrow_cells and not _is_outlier(stage, index, whole):
            cell = stage.narrow_cells[index]
        if cell.column != column:
            kept, column = {}, cell.column
        local = _run_cell(stage, cell, whole, kept, run_step)
        for name, region in cell.results.items():
            outputs[name][_index(region)] = _part(local[name], cell.regions[name], region)
    return outputs


def _is_outlier(stage: PatchStage, index: int, whole: Mapping[str, Array]) -> bool:
    """Whether cell `index` is of the outlier class."""
    if not isinstance(stage.classes, OutlierTest):
        return stage.classes[index]
    codes = whole[stage.classes.tensor][_index(stage.cells[index].regions[stage.classes.tensor])]
    return stage.classes.is_outlier(codes.astype(np.uint8, copy=False))


def _run_cell(
    stage: PatchStage, cell: Cell, whole: Mapping[str, Array], kept: dict[str, Array], run_step: RunStep
) -> dict[str, Array]:
    local: dict[str, Array] = {}
    for name in stage.inputs:
        if name in cell.values and name not in local:
            region = cell.regions[name]
            given = whole[name][_index(region)] if whole[name].shape[1:3] != (1, 1) else whole[name]
            local[name] = _with_carried(cell, name, given[:, cell.carried.get(name, 0) :], kept)
    for name, rows in cell.carried.items():
        if rows == cell.values[name].shape[1]:  # nothing of it is computed anew
            local[name] = kept[name][:, kept[name].shape[1] - rows :]
    for name in stage.order:
        step = cell.steps.get(name)
        if step is None:
            continue
        operands = [local[n] if n in local else whole[n] for n in step.inputs]
        result = run_step(step, operands, cell.fresh(step.output).shape)
        local[step.output] = _with_carried(cell, step.output, result, kept)
    for name in cell.kept:
        kept[name] = local[name]
    return local


def _with_carried(cell: Cell, name: str, fresh: Array, kept: Mapping[str, Array]) -> Array:
    """`fresh` below the rows that are carried."""
    rows = cell.carried.get(name, 0)
    return np.concatenate([kept[name][:, kept[name].shape[1] - rows :], fresh], axis=1) if rows else fresh


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
