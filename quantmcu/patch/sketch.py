"""Quick figures of a patch stage, without building its cells: memory, multiply-accumulates and cycles.

Used to search through thousands of stages; those on the frontier are then built and evaluated exactly
(quantmcu/patch/search.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quantmcu.codegen.kernel import StepContext
from quantmcu.codegen.registry import KernelFacts
from quantmcu.codegen.select import Selection, copy_cycles
from quantmcu.memory.buffers import collect_buffers
from quantmcu.memory.planner import ALIGNMENT
from quantmcu.memory.timeline import Slot, Timeline
from quantmcu.patch.axis import Axis, AxisTrace
from quantmcu.program import steps
from quantmcu.program.program import Program, Value


@dataclass(frozen=True)
class Sketch:
    """Figures of a stage.

    Attributes:
        nbytes: most bytes that live at once, the whole maps that it reads and writes included.
        cycles: predicted.
    """

    nbytes: int
    cycles: float


@dataclass(frozen=True, eq=False)
class _Lives:
    """When the arrays of a stage live: `live[slot, group]`, and the arrays that take turns in each group."""

    live: NDArray[np.int64]
    groups: tuple[tuple[str, ...], ...]
    slots: tuple[str, ...]

    def peak(self, nbytes: Mapping[str, int], scratch: Mapping[str, int]) -> int:
        """Most bytes at once, given the size of every array and of the slots' scratch memory."""
        sizes = [_aligned(max(nbytes.get(name, 0) for name in group)) for group in self.groups]
        return int((self.live @ np.array(sizes, np.int64) + [_aligned(scratch.get(n, 0)) for n in self.slots]).max())


class StageSketcher:
    """Sketches of one stage (its steps are given) with any grid.

    Args:
        program: without stages.
        inside: steps of the stage.
        inputs, outputs: whole maps that it reads and writes.
        base: kernels of all steps, layer by layer.
        axes: of the program; shared between sketchers.
        free: whole maps that need no RAM (the network's input when it is asked for on demand).
    """

    def __init__(
        self,
        program: Program,
        inside: Sequence[steps.Step],
        inputs: Sequence[str],
        outputs: Sequence[str],
        base: Mapping[str, Selection],
        axes: tuple[Axis, Axis],
        free: frozenset[str] = frozenset(),
    ) -> None:
        self.program, self.inside, self.inputs, self.outputs = program, inside, inputs, outputs
        self.base, self.axes = base, axes
        self.free = free
        self._rows: dict[tuple[int, frozenset[str]], AxisTrace] = {}
        self._columns: dict[int, AxisTrace] = {}
        self._lives: dict[tuple[object, ...], _Lives] = {}
        self._inside_map = {step.name: _inside_map(step) for step in inside}

    def sketch(self, grid: tuple[int, int], carrying: frozenset[str]) -> Sketch:
        """Figures with this grid.

        Raises:
            NotDivisibleError: it is impossible.
        """
        if grid[1] not in self._columns:
            self._columns[grid[1]] = self.axes[1].trace(self.inside, self.outputs, grid[1])
        columns = self._columns[grid[1]]
        carries = frozenset(
            name
            for name in carrying & columns.longest.keys()
            if columns.common_divisor[name] * self._value(name).row_bytes % 4 == 0
        )
        key = (grid[0], carries)
        if key not in self._rows:
            self._rows[key] = self.axes[0].trace(self.inside, self.outputs, grid[0], carries)
        rows = self._rows[key]
        nbytes = {
            name: self._value(name).row_bytes * rows.longest[name] * columns.longest[name] for name in rows.longest
        }
        stores = {
            name: self._value(name).row_bytes * rows.carried[name] * columns.longest[name] for name in rows.carried
        }
        crops = frozenset(rows.crops.keys() | columns.crops.keys())
        for step, index in crops:
            source = self.base[step].step.inputs[index]
            height = rows.crops.get((step, index), rows.longest[source])
            width = columns.crops.get((step, index), columns.longest[source])
            nbytes[f"{step}/{index}"] = height * width * self._value(source).row_bytes
        facts = {step.name: self._facts(step, rows, columns) for step in self.inside}
        in_place = tuple(() if step.output in stores else facts[step.name].in_place for step in self.inside)
        lives = self._lives_of(crops, in_place)
        scratch = {name: answer.scratch_bytes for name, answer in facts.items()}
        stored = sum(_aligned(size) for size in stores.values())
        cells = grid[0] * grid[1]
        cycles = copy_cycles(sum(self._value(name).nbytes for name in (*self.inputs, *self.outputs)))
        cycles += copy_cycles(2 * sum(stores.values()) * cells)
        cycles += sum(facts[inner.name].cycles * self._share(inner, rows, columns) for inner in self.inside)
        whole = self._whole_bytes(rows if grid[1] == 1 else None)
        return Sketch(lives.peak(nbytes, scratch) + stored + whole, cycles)

    def _value(self, name: str) -> Value:
        return self.program.values[name]

    def _whole_bytes(self, rows: AxisTrace | None) -> int:
        """Bytes of the maps that the stage reads and writes; with one column the output may lie over an input."""
        sizes = {name: _aligned(self._value(name).nbytes) for name in (*self.inputs, *self.outputs)}
        total = sum(size for name, size in sizes.items() if name not in self.free)
        if rows is None or len(self.outputs) != 1:
            return total
        output = self.outputs[0]
        written = rows.stops[output][:-1] * (self._value(output).nbytes // self.axes[0].length(output))
        for name in self.inputs:
            if name in self.free:
                continue
            read = rows.fresh[name][1:] * (self._value(name).nbytes // self.axes[0].length(name))
            if ((rows.fresh[name] >= rows.stops[name])[1:] | (read >= written)).all():
                return total - min(sizes[name], sizes[output])
        return total

    def _facts(self, step: steps.Step, rows: AxisTrace, columns: AxisTrace) -> KernelFacts:
        """What the kernel says of the largest cell."""
        selection = self.base[step.name]
        if selection.kernel is None:
            return KernelFacts(None, in_place=(0,))
        context = StepContext(
            self._inside_map[step.name],
            tuple(self._local(name, rows.longest, columns.longest, name) for name in step.inputs),
            self._local(step.output, rows.most_computed, columns.most_computed, step.name),
            selection.context.core,
        )
        answer = selection.facts.of(selection.kernel, context)
        return answer if answer.refusal is None else selection.facts.of(selection.kernel, selection.context)

    def _local(self, name: str, rows: Mapping[str, int], columns: Mapping[str, int], key: str) -> Value:
        value = self._value(name)
        if key not in rows or value.shape[1:3] == (1, 1):
            return value
        return Value(name, (1, rows[key], columns[key], value.shape[3]), value.bits, value.qparams)

    def _share(self, step: steps.Step, rows: AxisTrace, columns: AxisTrace) -> float:
        """How often the largest cell's work is done."""
        most = rows.most_computed[step.name] * columns.most_computed[step.name]
        return rows.computed[step.name] * columns.computed[step.name] / most if most else 0.0

    def _lives_of(self, crops: frozenset[tuple[str, int]], in_place: tuple[tuple[int, ...], ...]) -> _Lives:
        """Lives of the local arrays, from the same slots that the exact stage has."""
        key = (crops, in_place)
        if key not in self._lives:
            local = {step.output for step in self.inside} | set(self.inputs)
            slots = [Slot(f"load {name}", (), (name,)) for name in self.inputs]
            for step, allowed in zip(self.inside, in_place, strict=True):
                reads = [name for name in step.inputs if name in local]
                for index, source in enumerate(step.inputs):
                    if (step.name, index) in crops:
                        slots.append(Slot(f"{step.name}/{index}", (source,), (f"{step.name}/{index}",)))
                        reads[reads.index(source)] = f"{step.name}/{index}"
                names = dict(zip((n for n in step.inputs if n in local), reads, strict=True))
                taken = tuple(names.get(step.inputs[index], "") for index in allowed)
                slots.append(Slot(step.name, tuple(reads), (step.output,), taken))
            self._lives[key] = _lives(slots)
        return self._lives[key]


def _lives(slots: Sequence[Slot]) -> _Lives:
    names = {name for slot in slots for name in slot.writes}
    buffers = collect_buffers(Timeline(tuple(slots), dict.fromkeys(names, 1)))
    live = np.zeros((len(slots), len(buffers)), np.int64)
    for index, buffer in enumerate(buffers):
        live[buffer.first : buffer.last + 1, index] = 1
    return _Lives(live, tuple(b.values for b in buffers), tuple(slot.name for slot in slots))


def _inside_map(step: steps.Step) -> steps.Step:
    """`step` as in a cell that meets no border."""
    return replace(step, pads=(0, 0, 0, 0)) if hasattr(step, "pads") else step  # type: ignore[call-arg]


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
