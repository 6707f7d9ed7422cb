"""When a program with its kernels uses which memory: what the memory planner must know."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from quantmcu.codegen.select import AnySelection, Selection, StageSelection
from quantmcu.memory.timeline import Slot, Timeline
from quantmcu.program.program import Program, Value
from quantmcu.program.stages import PatchStage


def memory_timeline(program: Program, selections: Sequence[AnySelection]) -> Timeline:
    """What the memory planner must know of `program` with these kernels."""
    return _TimelineBuilder(program).build(selections)


class _TimelineBuilder:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.slots: list[Slot] = []
        self.nbytes = {value.name: value.nbytes for value in program.values.values() if value.data is None}
        for name in program.on_demand:
            del self.nbytes[name]
        self.spans: dict[str, tuple[int, int]] = {}
        self.overlays: dict[str, str] = {}

    def build(self, selections: Sequence[AnySelection]) -> Timeline:
        """All slots."""
        for item in selections:
            if isinstance(item, StageSelection):
                self._stage(item)
            else:
                self._step(item)
        written = {name: i for i in reversed(range(len(self.slots))) for name in self.slots[i].writes}
        for name in self.program.inputs:
            if name not in self.program.on_demand:
                self._span(name, 0, 0)
        for name in self.program.outputs:
            self._span(name, written.get(name, 0), len(self.slots) - 1)
        used = {name for slot in self.slots for name in (*slot.reads, *slot.writes)} | set(self.spans)
        sizes = {name: size for name, size in self.nbytes.items() if name in used}
        return Timeline(tuple(self.slots), sizes, self.spans, self.overlays)

    def _span(self, name: str, first: int, last: int) -> None:
        before = self.spans.get(name, (first, last))
        self.spans[name] = (min(first, before[0]), max(last, before[1]))

    def _step(self, selection: Selection) -> None:
        step = selection.step
        in_place = tuple(step.inputs[index] for index in selection.in_place)
        self.slots.append(Slot(step.name, step.inputs, (step.output,), in_place, selection.scratch_bytes))

    def _stage(self, item: StageSelection) -> None:
        stage, first = item.stage, len(self.slots)
        self.slots += item.memory.slots
        self.nbytes |= item.memory.nbytes
        for name in (*stage.inputs, *stage.outputs, *sorted(item.memory.lasting)):
            if name in self.nbytes:
                self._span(name, first, len(self.slots) - 1)
        self._overlay(stage)

    def _overlay(self, stage: PatchStage) -> None:
        """Lets the output take over the memory of an input if nothing needs what is overwritten."""
        later = self.program.steps[self.program.steps.index(stage) + 1 :]
        needed = {name for step in later for name in step.inputs} | set(self.program.outputs)
        values, output = self.program.values, stage.outputs[0]
        for name in stage.inputs:
            free = len(stage.outputs) == 1 and name in self.nbytes and name not in needed
            if free and writes_behind_reads(stage, values[name], values[output]):
                self.overlays[output] = name
                return


def writes_behind_reads(stage: PatchStage, source: Value, output: Value) -> bool:
    """Whether no cell loads a byte of `source` that earlier cells wrote to `output`, if both lie at the same place."""
    if len(source.shape) != 4:
        return False
    written = np.zeros(max(source.nbytes, output.nbytes), np.bool_)
    loads, stores = (written[: v.nbytes].reshape(v.shape[1], v.shape[2], v.row_bytes) for v in (source, output))
    for cell in stage.cells:
        if source.name in cell.values:
            region, (rows, columns) = cell.regions[source.name], cell.carried.get(source.name, (0, 0))
            if loads[
                region.rows.start + rows : region.rows.stop, region.columns.start + columns : region.columns.stop
            ].any():
                return False
        wanted = cell.results[output.name]
        stores[wanted.rows.start : wanted.rows.stop, wanted.columns.start : wanted.columns.stop] = True
    return True
