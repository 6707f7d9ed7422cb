"""What the cells of a patch stage leave for later cells, and where it is kept.

Rows go to the next cell of the column: they wait in a store of their own, or stay where they are in the cell's array
until the next cell moves them to its top. Columns wait in a store as high as the map. An array that takes over columns,
or rows that would leave what follows unaligned, is put together: the step computes into an array of its own first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quantmcu.program.program import Program, Value
from quantmcu.program.stages import Cell, PatchStage

_WORD = 4
"""Bytes to which every array that a kernel writes is aligned."""


@dataclass(frozen=True)
class Exchange:
    """What the cells of a stage exchange of one local value, in bytes.

    Attributes:
        rows: of the store of rows; 0 where none are carried.
        columns: of the store of columns.
        column_stride: of one row in it.
        first_row: row of the map at its start.
        fresh: of the array that the step computes into before the cell's array is put together; 0 where it computes
            into the cell's array itself.
    """

    rows: int = 0
    columns: int = 0
    column_stride: int = 0
    first_row: int = 0
    fresh: int = 0


def exchanges(stage: PatchStage, program: Program) -> dict[str, Exchange]:
    """What is exchanged of each local value of which anything is."""
    names = dict.fromkeys(name for cell in stage.cells for name in cell.kept)
    return {name: _exchange(stage, name, name in program.on_demand) for name in names}


def _exchange(stage: PatchStage, name: str, on_demand: bool) -> Exchange:
    cells = [cell for cell in stage.cells if name in cell.values]
    carried = [(cell, cell.values[name], *cell.carried.get(name, (0, 0))) for cell in cells]
    rows = max(cell.kept.get(name, (0, 0))[0] * bytes_of_row(cell.values[name]) for cell in cells)
    stride = max(columns * value.row_bytes for _, value, _, columns in carried)
    first, stop = min(c.regions[name].rows.start for c in cells), max(c.regions[name].rows.stop for c in cells)
    unaligned = any(count * bytes_of_row(value) % _WORD for _, value, count, _ in carried)
    # Parts of a map in RAM are copied to where they belong; a part that is asked for arrives without gaps.
    apart = stride > 0 and on_demand if name in stage.inputs else stride > 0 or unaligned
    fresh = max(cell.fresh(name).nbytes for cell in cells) if apart else 0
    return Exchange(rows, stride * (stop - first), stride, first, fresh)


def bytes_of_row(value: Value) -> int:
    """Bytes of one row of pixels."""
    return value.shape[2] * value.row_bytes


@dataclass(frozen=True)
class Rectangle:
    """Fields of qmcu_rectangle (firmware/kernels/patches.h): bytes, and rows of bytes."""

    source: int = 0
    source_stride: int = 0
    target: int = 0
    target_stride: int = 0
    rows: int = 0
    row_bytes: int = 0


@dataclass(frozen=True)
class CarriedRows:
    """Fields of qmcu_carry: bytes taken from the cell above and where they lie, bytes kept and where they begin."""

    carried: int = 0
    taken_from: int = 0
    kept: int = 0
    kept_from: int = 0


@dataclass(frozen=True)
class Moves:
    """How one cell puts its array of a value together and what it keeps.

    Attributes:
        rows: carried rows.
        place: from what the step computed to the cell's array.
        left, right: from the store of columns to the cell's array, and back; without the offset of the cell's rows.
    """

    rows: CarriedRows = CarriedRows()
    place: Rectangle = Rectangle()
    left: Rectangle = Rectangle()
    right: Rectangle = Rectangle()


def moves(cells: Sequence[Cell], name: str, exchange: Exchange, *, rows_stay: bool) -> list[Moves]:
    """The moves of value `name` in every cell.

    Args:
        rows_stay: carried rows have no store: they wait in the cell's array.
    """
    found = []
    waiting = 0
    for cell in cells:
        if name not in cell.values:
            found.append(Moves())
            continue
        value = cell.values[name]
        row, pixel = bytes_of_row(value), value.row_bytes
        height, width = value.shape[1:3]
        rows, columns = cell.carried.get(name, (0, 0))
        kept_rows, kept_columns = cell.kept.get(name, (0, 0))
        kept_from = (height - kept_rows) * row
        carry = CarriedRows(rows * row, 0, kept_rows * row, kept_from)
        if rows_stay:
            carry, waiting = CarriedRows(rows * row, waiting if rows else 0), kept_from
        fresh, corner, stride = (height - rows, rows * row, exchange.column_stride)
        beside = (width - columns) * pixel
        found.append(
            Moves(
                carry,
                Rectangle(0, beside, corner + columns * pixel, row, fresh, beside) if exchange.fresh else Rectangle(),
                Rectangle(0, stride, corner, row, fresh, columns * pixel),
                Rectangle(corner + row - kept_columns * pixel, row, 0, stride, fresh, kept_columns * pixel),
            )
        )
    return found


def column_offsets(stage: PatchStage, name: str, exchange: Exchange) -> list[int]:
    """By row of the grid: where the rows that a cell computes begin in the store of columns."""
    offsets = [0] * stage.grid[0]
    for cell in stage.cells:
        if name in cell.values:
            first = cell.regions[name].rows.start + cell.carried.get(name, (0, 0))[0]
            offsets[cell.row] = (first - exchange.first_row) * exchange.column_stride
    return offsets


def moved_bytes(stage: PatchStage, arrangement: Mapping[str, Exchange]) -> int:
    """Bytes that all cells together copy because of what is carried."""
    total = 0
    for name, exchange in arrangement.items():
        for move in moves(stage.cells, name, exchange, rows_stay=False):
            parts = (move.place, move.left, move.right)
            total += move.rows.carried + move.rows.kept + sum(part.rows * part.row_bytes for part in parts)
    return total
