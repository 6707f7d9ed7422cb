"""Patch stages, drawn on the map that they read: the grid, halos, and the classes of the patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_HALOS = {
    "recompute": "computed again by each patch",
    "cache": "rows and columns are kept from patch to patch",
    "cache-rows": "rows are kept from patch to patch, columns computed again",
    "cache-narrow": "rows are kept from patch to patch, except those of widening pointwise convolutions",
}


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the map that the stage reads."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Patch:
    """One patch.

    Attributes:
        row, column: of the grid.
        part: what belongs to it, no pixel to two patches.
        field: its receptive field: the part and its halo.
        outlier: in which share of the calibration samples it is of the outlier class; None where there are no classes.
        label: what a reader sees who points at it.
    """

    row: int
    column: int
    part: Box
    field: Box
    outlier: float | None
    label: str


@dataclass(frozen=True)
class Stage:
    """A patch stage.

    Attributes:
        after, last: steps behind which it begins (None: the input) and with which it ends.
        shape: of the map that it writes.
        halo: what becomes of rows that several patches need, in words.
        from_input: it reads the network's input, so that an input image may lie behind the drawing.
        width, height: of the map that it reads.
        example: index of the patch whose receptive field is marked: one with neighbours on all sides, if any.
        overlap: pixels of all receptive fields together, relative to those of the map.
        decided: "dynamic" or "static" where patches have classes.
    """

    after: str | None
    last: str
    shape: list[int]
    rows: int
    columns: int
    halo: str
    from_input: bool
    width: int
    height: int
    patches: list[Patch]
    example: int
    overlap: float
    decided: str | None


def stages(result: dict[str, Any]) -> list[Stage]:
    """The patch stages of the plan; empty where the network runs layer by layer."""
    inputs = {port["name"] for port in result["model"]["inputs"]}
    return [_stage(stage, result["plan"], inputs) for stage in result["plan"].get("stages", [])]


def _stage(stage: dict[str, Any], plan: dict[str, Any], inputs: set[str]) -> Stage:
    rows, columns = stage["grid"]
    down, across, (height, width) = _axes(stage)
    branches = [branch for branch in plan["branches"] if branch["stage"] == stage["split_at"]]
    patches = [
        _patch(row, column, down[row], across[column], branches) for row in range(rows) for column in range(columns)
    ]
    fields = sum(patch.field.width * patch.field.height for patch in patches)
    has_classes = any(patch.outlier is not None for patch in patches)
    return Stage(
        after=stage["after"],
        last=stage["split_at"],
        shape=stage["shape"],
        rows=rows,
        columns=columns,
        halo=_HALOS[stage["halo_mode"]],
        from_input=stage["after"] is None and stage["input"] in inputs,
        width=width,
        height=height,
        patches=patches,
        example=(rows // 2) * columns + columns // 2,
        overlap=fields / (width * height),
        decided=(plan.get("vdpc") or {}).get("mode") if has_classes else None,
    )


_Span = tuple[float, float]


def _axes(stage: dict[str, Any]) -> tuple[list[tuple[_Span, _Span]], list[tuple[_Span, _Span]], tuple[int, int]]:
    """Part and receptive field by row and by column, on the map that is read; and its size.

    A part of the written map stands for the same share of the map that is read.
    """
    height, width = stage["input_shape"][1:3]
    down = _axis(stage["rows"], height / stage["shape"][1])
    across = _axis(stage["columns"], width / stage["shape"][2])
    return down, across, (height, width)


def _axis(described: list[dict[str, list[int]]], scale: float) -> list[tuple[_Span, _Span]]:
    pairs = ((entry["part"], entry["receptive_field"]) for entry in described)
    return [((part[0] * scale, part[1] * scale), (field[0], field[1])) for part, field in pairs]


def _patch(
    row: int, column: int, down: tuple[_Span, _Span], across: tuple[_Span, _Span], branches: list[dict[str, Any]]
) -> Patch:
    own = [branch for branch in branches if (branch["row"], branch["column"]) == (row, column)]
    classes = {branch["class"]: branch["share"] for branch in own}
    outlier = None if not classes or "all" in classes else float(classes.get("outlier", 0.0))
    part, field = _box(down[0], across[0]), _box(down[1], across[1])
    label = (
        f"patch in row {row + 1}, column {column + 1}: depends on rows {down[1][0]:g} to {down[1][1] - 1:g}, "
        f"columns {across[1][0]:g} to {across[1][1] - 1:g}"
    )
    if outlier is not None:
        label += f"; of the outlier class in {100 * outlier:.0f} % of the calibration samples"
    return Patch(row, column, part, field, outlier, label)


def _box(rows: _Span, columns: _Span) -> Box:
    return Box(columns[0], rows[0], columns[1] - columns[0], rows[1] - rows[0])
