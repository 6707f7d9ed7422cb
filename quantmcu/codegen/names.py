"""Names and addresses of everything in the generated C."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quantmcu.codegen.identifiers import c_identifiers
from quantmcu.codegen.select import AnySelection, Selection, StageSelection, flat
from quantmcu.codegen.stage_memory import column_store, fresh_array, row_store
from quantmcu.codegen.templates import c_comment
from quantmcu.memory.planner import MemoryPlan, Placement
from quantmcu.program.added_names import load_name
from quantmcu.program.program import Program, Value


@dataclass(frozen=True)
class MapText:
    """A named place in an arena."""

    macro: str
    place: str
    comment: str


class Names:
    """C identifiers of steps, maps and constants of one program.

    Attributes:
        steps: function suffix by step name.
        maps: macro by array name (as in the memory timeline).
        constants: identifier by name of a constant operand.
    """

    def __init__(self, program: Program, selections: Sequence[AnySelection], plan: MemoryPlan) -> None:
        self.program = program
        self.plan = plan
        self.places = plan.value_placements()
        every = flat(selections)
        stages = [item.stage for item in selections if isinstance(item, StageSelection)]
        loads = [load_name(stage.name, name) for stage in stages for name in stage.inputs]
        steps = {s.step.name: f"{type(s.step).__name__}_{index}" for index, s in enumerate(every)}
        self.steps = c_identifiers(steps | {name: f"load_{index}" for index, name in enumerate(loads)})
        self.maps = self._macros(every, selections)
        constants = [value.name for value in program.values.values() if value.data is not None]
        ids = c_identifiers({name: str(index) for index, name in enumerate(constants)})
        self.constants = {name: f"constant_{ids[name]}" for name in constants}

    def _macros(self, every: Sequence[Selection], selections: Sequence[AnySelection]) -> dict[str, str]:
        writers = {s.step.output: self.steps[s.step.name] for s in every}
        inputs = {name: f"input_{index}" for index, name in enumerate(self.program.inputs)}
        short = c_identifiers(inputs | writers, prefer=writers)
        macros = {name: f"MAP_{short[name].upper()}" for name in short if name in self.places}
        stages = [item for item in selections if isinstance(item, StageSelection)]
        for number, item in enumerate(stages, 1):
            for name, identifier in short.items():
                local, ending = item.local(name), f"{number}_{identifier.upper()}"
                arrays = {
                    local: "PATCH",
                    row_store(local): "CARRIED",
                    column_store(local): "COLUMNS",
                    fresh_array(local): "FRESH",
                }
                macros |= {array: kind + ending for array, kind in arrays.items() if array in self.places}
        return macros

    def pointer(self, name: str) -> str:
        """C expression of the address of an array or constant operand."""
        return self.constants.get(name) or self.maps[name]

    def scratch(self, selection: Selection) -> str:
        """C expression of the address of a step's scratch memory; NULL where the kernel needs none."""
        if not selection.scratch_bytes:
            return "NULL"
        return f"SCRATCH_{self.steps[selection.step.name].upper()}"

    def address(self, place: Placement) -> str:
        """C expression of a place in an arena."""
        return f"&arena_{place.region}[{place.offset}]"

    def map_texts(self) -> list[MapText]:
        """All arrays in RAM, in the order of their macros' making."""
        return [
            MapText(macro, self.address(self.places[name]), self._comment(name)) for name, macro in self.maps.items()
        ]

    def _comment(self, name: str) -> str:
        value = self.program.values.get(name)
        if value is None:
            nbytes = next(t.nbytes for b in self.plan.buffers for t in b.tenants if t.name == name)
            return c_comment(f"up to {nbytes} bytes: {name}")
        return c_comment(f"{shape_text(value)}, {value.bits} bit: {name}")

    def scratch_texts(self, slots: Sequence[str], selections: Sequence[AnySelection]) -> list[MapText]:
        """Scratch memory of the steps; `slots` are the names of the timeline's slots."""
        by_name = {s.step.name: s for s in flat(selections)}
        sizes = {b.scratch_of: b.nbytes for b in self.plan.buffers if b.scratch_of is not None}
        return [
            MapText(self.scratch(by_name[slots[index]]), self.address(place), f"{sizes[index]} bytes")
            for index, place in sorted(self.plan.scratch_placements().items())
        ]


def shape_text(value: Value) -> str:
    """Shape for people: 1x32x32x16."""
    return "x".join(str(size) for size in value.shape) or "scalar"
