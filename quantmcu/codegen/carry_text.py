"""The C around a step of a patch stage: rectangles of maps that it loads and writes, what it carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from quantmcu.codegen.carried import Moves, Rectangle, column_offsets, moves
from quantmcu.codegen.names import Names
from quantmcu.codegen.select import StageSelection
from quantmcu.codegen.stage_memory import column_store, fresh_array, row_store
from quantmcu.program.program import Value
from quantmcu.program.stages import Cell


@dataclass(frozen=True)
class TableText:
    """A constant table inside a function; a layer's parameters with a single row are no array."""

    ctype: str
    name: str
    rows: tuple[tuple[tuple[str, str], ...], ...]


@dataclass(frozen=True)
class ListText:
    """A constant list of numbers inside a function."""

    ctype: str
    name: str
    values: tuple[int, ...]


@dataclass(frozen=True)
class CarryText:
    """What surrounds the calls that make a cell's array.

    Attributes:
        target: where they write, without the offset of a variant.
        before, after: calls.
    """

    target: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    lists: tuple[ListText, ...] = ()
    tables: tuple[TableText, ...] = ()


def cell_moves(item: StageSelection, name: str) -> list[Moves]:
    """What each cell exchanges of a value; empty where it is not carried."""
    exchange = item.exchanges.get(name)
    if exchange is None:
        return []
    rows_stay = row_store(item.local(name)) not in item.memory.nbytes
    return moves(item.stage.cells, name, exchange, rows_stay=rows_stay)


def carry_text(item: StageSelection, names: Names, name: str, variants: Sequence[Moves], index: str) -> CarryText:
    """The calls that put a cell's array together and keep what later cells need.

    Args:
        variants: the moves that occur.
        index: C expression of which of them.
    """
    exchange, local = item.exchanges.get(name), item.local(name)
    here = names.maps[local]
    if exchange is None:
        return CarryText(here)
    take: list[str] = []
    keep: list[str] = []
    tables: list[TableText] = []
    if any(move.rows.carried or move.rows.kept for move in variants):
        tables.append(_table("qmcu_carry", "carries", [asdict(move.rows) for move in variants]))
        store = names.maps.get(row_store(local), here)
        take.append(f"qmcu_take_rows(&carries[{index}], {store}, {here});")
        keep += [f"qmcu_keep_rows(&carries[{index}], {here}, {store});"] if store != here else []
    put: list[str] = []
    lists: list[ListText] = []
    if exchange.fresh:
        tables.append(_table("qmcu_rectangle", "places", [asdict(move.place) for move in variants]))
        put.append(f"qmcu_copy_rectangle(&places[{index}], {names.maps[fresh_array(local)]}, {here});")
    if exchange.columns:
        rows = f"column_rows[cell % {item.stage.grid[0]}]"
        beside = f"{names.maps[column_store(local)]} + {rows}"
        lists.append(ListText("uint32_t", "column_rows", tuple(column_offsets(item.stage, name, exchange))))
        tables.append(_table("qmcu_rectangle", "lefts", [asdict(move.left) for move in variants]))
        tables.append(_table("qmcu_rectangle", "rights", [asdict(move.right) for move in variants]))
        put.append(f"qmcu_copy_rectangle(&lefts[{index}], {beside}, {here});")
        keep.append(f"qmcu_copy_rectangle(&rights[{index}], {here}, {beside});")
    if exchange.fresh:  # the cell's array shares its memory with others until the step is done
        return CarryText(names.maps[fresh_array(local)], (), (*take, *put, *keep), tuple(lists), tuple(tables))
    offset = f" + carries[{index}].carried" if take and name not in item.stage.inputs else ""
    return CarryText(here + offset, tuple(take), (*put, *keep), tuple(lists), tuple(tables))


def load_table(item: StageSelection, names: Names, name: str) -> TableText:
    """By cell: the rectangle that is copied from a map in RAM to the cell's array, or asked for."""
    whole, cells = names.program.values[name], item.stage.cells
    if name in names.program.on_demand:
        return _table("quantmcu_rectangle", "parts", [_rectangle_asked(cell, name) for cell in cells])
    return _table("qmcu_rectangle", "parts", [asdict(_rectangle_in(cell, name, whole)) for cell in cells])


def result_table(item: StageSelection, names: Names, name: str) -> TableText:
    """By cell: the rectangle that is copied from the cell's array to a map that the stage leaves."""
    whole = names.program.values[name]
    return _table("qmcu_rectangle", "results", [asdict(_rectangle_out(cell, name, whole)) for cell in item.stage.cells])


def load_target(item: StageSelection, names: Names, name: str, carry: CarryText) -> str:
    """Where an input on demand is delivered: behind the rows that are carried."""
    exchange = item.exchanges.get(name)
    carries = exchange is not None and exchange.rows > 0 and not exchange.fresh
    return carry.target + (" + carries[cell].carried" if carries else "")


def _rectangle_asked(cell: Cell, name: str) -> Mapping[str, int]:
    """Row, column, rows and columns that a cell asks for: what is not carried."""
    row, column, rows, columns = _made(cell, name)
    return {"row": row, "column": column, "rows": rows, "columns": columns}


def _made(cell: Cell, name: str) -> tuple[int, int, int, int]:
    if name not in cell.values:
        return 0, 0, 0, 0
    region, (rows, columns) = cell.regions[name], cell.carried.get(name, (0, 0))
    row, column = region.rows.start + rows, region.columns.start + columns
    height, width = region.rows.stop - row, region.columns.stop - column
    return (row, column, height, width) if height and width else (0, 0, 0, 0)


def _rectangle_in(cell: Cell, name: str, whole: Value) -> Rectangle:
    """From the whole map to below and right of what is carried."""
    row, column, rows, columns = _made(cell, name)
    if not rows:
        return Rectangle()
    local, (above, beside) = cell.values[name], cell.carried.get(name, (0, 0))
    if local.shape == whole.shape and not (above or beside):
        return Rectangle(rows=1, row_bytes=whole.nbytes)
    source_stride, stride = whole.shape[2] * whole.row_bytes, local.shape[2] * whole.row_bytes
    source, target = row * source_stride + column * whole.row_bytes, above * stride + beside * whole.row_bytes
    return Rectangle(source, source_stride, target, stride, rows, columns * whole.row_bytes)


def _rectangle_out(cell: Cell, name: str, whole: Value) -> Rectangle:
    """From the cell's array to the whole map."""
    given, wanted, pixel = cell.regions[name], cell.results[name], whole.row_bytes
    stride, target_stride = len(given.columns) * pixel, whole.shape[2] * pixel
    source = (wanted.rows.start - given.rows.start) * stride + (wanted.columns.start - given.columns.start) * pixel
    target = wanted.rows.start * target_stride + wanted.columns.start * pixel
    return Rectangle(source, stride, target, target_stride, len(wanted.rows), len(wanted.columns) * pixel)


def _table(ctype: str, name: str, rows: Sequence[Mapping[str, int]]) -> TableText:
    return TableText(ctype, name, tuple(tuple((field, str(n)) for field, n in row.items()) for row in rows))
