"""The C of one step: its calls, with the constants that they refer to.

A step of a patch stage runs in several variants, one for each geometry that its cells have, and where cells have two
classes (VDPC) one for each class too. What differs between them (fields, offsets) goes into tables indexed by the
variant, so that code does not grow with the grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from quantmcu.codegen.carried import Moves
from quantmcu.codegen.carry_text import (
    CarryText,
    ListText,
    TableText,
    carry_text,
    cell_moves,
    load_table,
    load_target,
    result_table,
)
from quantmcu.codegen.kernel import Argument, Call, Constant, FieldValue, Input, LoweredStep, Output, Reference, Scratch
from quantmcu.codegen.names import Names, shape_text
from quantmcu.codegen.select import Selection, StageSelection
from quantmcu.codegen.templates import c_comment
from quantmcu.program.added_names import load_name


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
    """One way in which a step runs: what to call, and what it exchanges with other cells."""

    calls: tuple[Call, ...]
    moves: Moves

    @property
    def skeleton(self) -> tuple[object, ...]:
        """What must be the same for variants to share their code."""
        return tuple((c.function, c.structure, tuple(_kind(a) for a in c.arguments)) for c in self.calls)

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for equal variants."""
        return tuple((c.function, c.structure, tuple(c.fields.items()), c.arguments) for c in self.calls), self.moves


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
        self.carry: CarryText | None = None

    def code(self) -> StepCode:
        """Text and constants."""
        chosen = self.selection
        lowered = [None if c is None else chosen.kernel_of(c).lower(c) for c in chosen.contexts]
        nothing = [Moves()] * len(lowered)
        exchanged = cell_moves(self.stage, chosen.step.output) or nothing if self.stage else nothing
        variants = [self._variant(low, moves) for low, moves in zip(lowered, exchanged, strict=True)]
        ordered = _ordered(variants)
        self.variant = "variant" if len(ordered) > 1 else "0"
        if self.stage is not None:
            moves = [variant.moves for variant in ordered]
            self.carry = carry_text(self.stage, self.names, self.selection.step.output, moves, self.variant)
        blocks = tuple(self._block(ordered, first, end) for first, end in _runs(ordered))
        before: tuple[str, ...] = ()
        after: tuple[str, ...] = ()
        if self.stage is not None and self.carry is not None:
            if len(ordered) > 1:
                keys = [variant.key for variant in ordered]
                ctype = "uint8_t" if len(ordered) <= 256 else "uint16_t"
                self.lists.insert(0, ListText(ctype, "variant_of_cell", tuple(keys.index(v.key) for v in variants)))
            self.lists += self.carry.lists
            self.tables += self.carry.tables
            before, after = self.carry.before, (*self.carry.after, *self._results())
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

    def _variant(self, low: LoweredStep | None, moves: Moves) -> _Variant:
        return _Variant(() if low is None else tuple(self._resolved(call, low) for call in low.calls), moves)

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
                base = self.carry.target if self.carry else self._pointer(self.selection.step.output)
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

    def _results(self) -> tuple[str, ...]:
        """Writes the cell's part of a map that the stage leaves."""
        assert self.stage is not None
        stage, name = self.stage.stage, self.selection.step.output
        if name not in stage.outputs:
            return ()
        self.tables.append(result_table(self.stage, self.names, name))
        target, source = self.names.maps[name], self._pointer(name)
        return (f"qmcu_copy_rectangle(&results[cell], {source}, {target});",)


def load_code(item: StageSelection, name: str, names: Names) -> StepText:
    """The function that loads each cell's part of the map `name`."""
    carry = carry_text(item, names, name, cell_moves(item, name), "cell")
    if name in names.program.on_demand:
        target = load_target(item, names, name, carry)
        call = f"read_input({names.program.inputs.index(name)}, &parts[cell], {target});"
    else:
        call = f"qmcu_copy_rectangle(&parts[cell], {names.pointer(name)}, {carry.target});"
    slot = load_name(item.stage.name, name)
    title = c_comment(f"{slot}: each cell's part of {shape_text(names.program.values[name])}")
    tables = (load_table(item, names, name), *carry.tables)
    block = BlockText(0, 1, (call,))
    return StepText(names.steps[slot], slot, title, True, carry.lists, tables, (block,), 1, carry.before, carry.after)


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
