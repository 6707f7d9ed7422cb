"""The C of one step: its calls, with the constants that they refer to.

A step of a patch stage runs in several variants, one for each geometry that its cells have, and where cells have two
classes (VDPC) one for each class too. What differs between them (fields, offsets) goes into tables indexed by the
variant, so that code does not grow with the grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from quantmcu.codegen.kernel import Argument, Call, Constant, FieldValue, Input, LoweredStep, Output, Reference, Scratch
from quantmcu.codegen.names import Names, load_name, shape_text
from quantmcu.codegen.select import Selection, StageSelection
from quantmcu.codegen.templates import c_comment
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
class BlockText:
    """Calls for the variants `first` .. `end` - 1."""

    first: int
    end: int
    calls: tuple[str, ...]


@dataclass(frozen=True)
class StepText:
    """A step's function.

    Attributes:
        in_stage: takes the index of the cell.
        variants: number of variants of a step of a stage.
        branch: C expression of the branch that runs, which decides the variant.
        before, after: calls around the blocks (carried rows, results).
    """

    identifier: str
    name: str
    title: str
    in_stage: bool
    lists: tuple[ListText, ...]
    tables: tuple[TableText, ...]
    blocks: tuple[BlockText, ...]
    variants: int = 1
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    branch: str = "cell"


@dataclass(frozen=True, eq=False)
class StepCode:
    """A step's text and the constants in flash that it needs, with their C names."""

    text: StepText
    lowered: tuple[LoweredStep, ...]
    constants: tuple[tuple[str, Constant], ...]


@dataclass(frozen=True, eq=False)
class _Variant:
    """One way in which a step runs: what to call, and the rows that it carries over and keeps (in bytes)."""

    calls: tuple[Call, ...]
    carry: tuple[int, int, int] = (0, 0, 0)

    @property
    def skeleton(self) -> tuple[object, ...]:
        """What must be the same for variants to share their code."""
        return tuple((c.function, c.structure, tuple(_kind(a) for a in c.arguments)) for c in self.calls)

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for equal variants."""
        return tuple((c.function, c.structure, tuple(c.fields.items()), c.arguments) for c in self.calls), self.carry


def _kind(argument: Argument) -> object:
    match argument:
        case Input(index, _):
            return ("input", index)
        case Output():
            return "output"
        case Scratch():
            return "scratch"
        case _:
            return "number"


def step_code(selection: Selection, names: Names, stage: StageSelection | None = None) -> StepCode:
    """The C of a step, alone or inside `stage`."""
    return _StepWriter(selection, names, stage).code()


class _StepWriter:
    def __init__(self, selection: Selection, names: Names, stage: StageSelection | None) -> None:
        self.selection, self.names, self.stage = selection, names, stage
        self.prefix = names.steps[selection.step.name]
        self.constants: dict[str, Constant] = {}
        self.variant = "0"  # C expression of the index of the variant
        self.lists: list[ListText] = []
        self.tables: list[TableText] = []

    def code(self) -> StepCode:
        """Text and constants."""
        chosen = self.selection
        lowered = [None if c is None else chosen.kernel_of(c).lower(c) for c in chosen.contexts]
        variants = [self._variant(index, low) for index, low in enumerate(lowered)]
        ordered = _ordered(variants)
        self.variant = "variant" if len(ordered) > 1 else "0"
        blocks = tuple(self._block(ordered, first, end) for first, end in _runs(ordered))
        before: tuple[str, ...] = ()
        after: tuple[str, ...] = ()
        if self.stage is not None:
            if len(ordered) > 1:
                keys = [variant.key for variant in ordered]
                self.lists.insert(0, ListText("uint8_t", "variant_of_cell", tuple(keys.index(v.key) for v in variants)))
            before, after = self._carrying(ordered, self.selection.step.output)
            after += self._results()
        text = StepText(
            self.prefix,
            self.selection.step.name,
            self._title(chosen.kernel_names),
            self.stage is not None,
            tuple(self.lists),
            tuple(self.tables),
            blocks,
            len(ordered),
            before,
            after,
            self._branch(),
        )
        return StepCode(text, tuple(low for low in lowered if low is not None), tuple(self.constants.items()))

    def _title(self, kernel: str) -> str:
        context = self.selection.context
        sources = ", ".join(shape_text(value) for value in context.inputs)
        title = f"{self.selection.step.name}: {type(context.step).__name__} {sources} -> {shape_text(context.output)}"
        title += " in the first cell" if self.stage else ""
        title += f", {self.selection.macs} MACs" if self.selection.macs else ""
        return c_comment(f"{title}, kernel {kernel}")

    # Variants

    def _variant(self, index: int, low: LoweredStep | None) -> _Variant:
        calls = () if low is None else tuple(self._resolved(call, low) for call in low.calls)
        if self.stage is None:
            return _Variant(calls)
        return _Variant(calls, carry_bytes(self.stage.stage.branches[index], self.selection.step.output))

    def _branch(self) -> str:
        """Index of the branch: that of the cell, or behind all cells of the outlier class where it is of the other."""
        if self.stage is None or len(self.selection.contexts) == len(self.stage.stage.cells):
            return "cell"
        cells, is_outlier = len(self.stage.stage.cells), self.stage.selections[0].step.output
        return f"*{self._pointer(is_outlier)} ? cell : cell + {cells}"

    def _resolved(self, call: Call, low: LoweredStep) -> Call:
        """`call` with its references as C names; equal constants of several variants become one."""
        constants = {constant.suffix: constant for constant in low.constants}
        fields: dict[str, FieldValue] = {}
        for name, value in call.fields.items():
            fields[name] = Reference(self._constant(constants[value.suffix])) if isinstance(value, Reference) else value
        return replace(call, fields=fields)

    def _constant(self, constant: Constant) -> str:
        number = 1
        while True:
            name = f"{self.prefix}_{constant.suffix}" + (f"_{number}" if number > 1 else "")
            known = self.constants.setdefault(name, constant)
            if known is constant or (
                known.data.dtype == constant.data.dtype and np.array_equal(known.data, constant.data)
            ):
                return name
            number += 1

    # Text

    def _block(self, variants: Sequence[_Variant], first: int, end: int) -> BlockText:
        """The calls of variants that share a skeleton."""
        group = variants[first:end]
        calls = []
        for position in range(len(group[0].calls)):
            same = [variant.calls[position] for variant in group]
            arguments = [
                self._argument([call.arguments[i] for call in same], first) for i in range(len(same[0].arguments))
            ]
            if same[0].structure:
                arguments.insert(0, self._layer(same, first))
            calls.append(f"{same[0].function}({', '.join(arguments)});")
        return BlockText(first, end, tuple(calls))

    def _layer(self, calls: Sequence[Call], first: int) -> str:
        """Address of the parameter structure; a table where it differs."""
        rows = [tuple((name, _field(value)) for name, value in call.fields.items()) for call in calls]
        distinct = list(dict.fromkeys(rows))
        taken = sum(1 for table in self.tables if table.name.startswith("layer"))
        name = "layer" if taken == 0 else f"layer{taken + 1}"
        if len(distinct) == 1:
            self.tables.append(TableText(calls[0].structure, name, tuple(distinct)))
            return f"&{name}"
        self.tables.append(TableText(calls[0].structure, f"{name}s", tuple(rows)))
        return f"&{name}s[{_index(first)}]"

    def _argument(self, arguments: Sequence[Argument], first: int) -> str:
        match arguments[0]:
            case int():
                return self._offset([a for a in arguments if isinstance(a, int)], first)
            case Input(index, _):
                base = self._pointer(self.selection.step.inputs[index])
            case Output():
                base = self._pointer(self.selection.step.output)
                if self.stage is not None and self.selection.step.output in carried_names(self.stage):
                    base += f" + carries[{self.variant}].carried"
            case Scratch():
                base = self.names.scratch(self.selection)
        offset = self._offset([a.offset for a in arguments], first)  # type: ignore[union-attr]
        return base if offset == "0" else f"{base} + {offset}"

    def _offset(self, numbers: Sequence[int], first: int) -> str:
        if len(set(numbers)) == 1:
            return str(numbers[0])
        name = f"offsets{sum(1 for entry in self.lists if entry.name.startswith('offsets')) + 1}"
        self.lists.append(ListText("uint32_t", name, tuple(numbers)))
        return f"{name}[{_index(first)}]"

    def _pointer(self, name: str) -> str:
        if self.stage is not None and self.stage.local(name) in self.names.maps:
            return self.names.maps[self.stage.local(name)]
        return self.names.pointer(name)

    # Carried rows and results

    def _carrying(self, variants: Sequence[_Variant], name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        assert self.stage is not None
        if name not in carried_names(self.stage):
            return (), ()
        self.tables.append(carries_table([variant.carry for variant in variants]))
        return carry_calls(self.names, self.stage, name, self.variant)

    def _results(self) -> tuple[str, ...]:
        """Writes the cell's part of a map that the stage leaves."""
        assert self.stage is not None
        stage, name = self.stage.stage, self.selection.step.output
        if name not in stage.outputs:
            return ()
        whole = self.names.program.values[name]
        rows = tuple(rectangle_out(cell, name, whole) for cell in stage.cells)
        self.tables.append(TableText("qmcu_rectangle", "results", rows))
        target, source = self.names.maps[name], self._pointer(name)
        return (f"qmcu_copy_rectangle(&results[cell], {source}, {target});",)


def load_code(item: StageSelection, name: str, names: Names) -> StepText:
    """The function that loads each cell's part of the map `name`."""
    stage = item.stage
    program, local = names.program, names.maps[item.local(name)]
    whole = program.values[name]
    asked = name in program.on_demand
    if asked:
        tables = [TableText("quantmcu_rectangle", "parts", tuple(rectangle_asked(cell, name) for cell in stage.cells))]
    else:
        tables = [TableText("qmcu_rectangle", "parts", tuple(rectangle_in(cell, name, whole) for cell in stage.cells))]
    target = local
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    if name in carried_names(item):
        tables.append(carries_table([carry_bytes(cell, name) for cell in stage.cells]))
        before, after = carry_calls(names, item, name, "cell")
        target = f"{local} + carries[cell].carried"
    if asked:
        call = f"read_input({program.inputs.index(name)}, &parts[cell], {target});"
    else:
        call = f"qmcu_copy_rectangle(&parts[cell], {names.pointer(name)}, {target});"
    slot = load_name(item, name)
    title = c_comment(f"{slot}: each cell's part of {shape_text(whole)}")
    block = BlockText(0, 1, (call,))
    return StepText(names.steps[slot], slot, title, True, (), tuple(tables), (block,), 1, before, after)


def carried_names(item: StageSelection) -> frozenset[str]:
    """Local values that keep rows from cell to cell."""
    return frozenset(name for cell in item.stage.cells for name in cell.kept)


def carry_bytes(cell: Cell, name: str) -> tuple[int, int, int]:
    """Bytes carried from above, bytes kept for below, and where the latter start in the local value."""
    value = cell.values.get(name)
    if value is None:
        return (0, 0, 0)
    row = value.shape[2] * value.row_bytes
    kept = cell.kept.get(name, 0)
    return cell.carried.get(name, 0) * row, kept * row, (value.shape[1] - kept) * row


def carries_table(entries: Sequence[tuple[int, int, int]]) -> TableText:
    """The table of carried rows."""
    rows = tuple(
        (("carried", str(carried)), ("kept", str(kept)), ("kept_from", str(start))) for carried, kept, start in entries
    )
    return TableText("qmcu_carry", "carries", rows)


def carry_calls(names: Names, item: StageSelection, name: str, index: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The calls before and after the value is made."""
    local, carried = names.maps[item.local(name)], names.maps[item.carried(name)]
    which = f"&carries[{index}]"
    return (f"qmcu_take_rows({which}, {carried}, {local});",), (f"qmcu_keep_rows({which}, {local}, {carried});",)


def rectangle_asked(cell: Cell, name: str) -> tuple[tuple[str, str], ...]:
    """Fields of the rectangle of an input on demand that a cell asks for: what is not carried."""
    if name not in cell.values:
        return tuple((field, "0") for field in ("row", "column", "rows", "columns"))
    region, carried = cell.regions[name], cell.carried.get(name, 0)
    row = region.rows.start + carried
    numbers = (row, region.columns.start, region.rows.stop - row, len(region.columns))
    return tuple((field, str(n)) for field, n in zip(("row", "column", "rows", "columns"), numbers, strict=True))


def rectangle_in(cell: Cell, name: str, whole: Value) -> tuple[tuple[str, str], ...]:
    """Fields of the rectangle that a cell loads: from the whole map to below the carried rows of the local value."""
    if name not in cell.values:
        return _rectangle(0, 0, 0, 0, 0, 0)
    region, local = cell.regions[name], cell.values[name]
    if local.shape == whole.shape and cell.carried.get(name, 0) == 0:
        return _rectangle(0, 0, 0, 0, 1, whole.nbytes)
    row = region.rows.start + cell.carried.get(name, 0)
    source = row * whole.shape[2] * whole.row_bytes + region.columns.start * whole.row_bytes
    rows = region.rows.stop - row
    width = len(region.columns) * whole.row_bytes
    return _rectangle(source, whole.shape[2] * whole.row_bytes, 0, width, rows, width)


def rectangle_out(cell: Cell, name: str, whole: Value) -> tuple[tuple[str, str], ...]:
    """Fields of the rectangle that a cell writes: from the local value to the whole map."""
    given, wanted = cell.regions[name], cell.results[name]
    local_stride = len(given.columns) * whole.row_bytes
    whole_stride = whole.shape[2] * whole.row_bytes
    source = (wanted.rows.start - given.rows.start) * local_stride
    source += (wanted.columns.start - given.columns.start) * whole.row_bytes
    target = wanted.rows.start * whole_stride + wanted.columns.start * whole.row_bytes
    return _rectangle(
        source, local_stride, target, whole_stride, len(wanted.rows), len(wanted.columns) * whole.row_bytes
    )


def _rectangle(*numbers: int) -> tuple[tuple[str, str], ...]:
    fields = ("source", "source_stride", "target", "target_stride", "rows", "row_bytes")
    return tuple((name, str(number)) for name, number in zip(fields, numbers, strict=True))


def _ordered(variants: Sequence[_Variant]) -> list[_Variant]:
    """The distinct variants, those of one skeleton side by side, those that compute nothing last."""
    distinct: dict[tuple[object, ...], _Variant] = {}
    for variant in variants:
        distinct.setdefault(variant.key, variant)
    skeletons = list(dict.fromkeys(variant.skeleton for variant in distinct.values() if variant.calls))
    computing = [v for skeleton in skeletons for v in distinct.values() if v.calls and v.skeleton == skeleton]
    return computing + [v for v in distinct.values() if not v.calls]


def _runs(ordered: Sequence[_Variant]) -> list[tuple[int, int]]:
    """Index ranges of variants that share a skeleton and compute something."""
    runs: list[tuple[int, int]] = []
    for index, variant in enumerate(ordered):
        if not variant.calls:
            break
        if runs and ordered[index - 1].skeleton == variant.skeleton:
            runs[-1] = (runs[-1][0], index + 1)
        else:
            runs.append((index, index + 1))
    return runs


def _index(first: int) -> str:
    return "variant" if first == 0 else f"variant - {first}"


def _field(value: FieldValue) -> str:
    match value:
        case Reference(name):
            return name
        case tuple():
            return "{" + ", ".join(str(int(v)) for v in value) + "}"
        case _:
            number = int(value)
            return "INT32_MIN" if number == -(2**31) else str(number)
