"""Quick figures of a patch stage, without building its cells: memory, multiply-accumulates and cycles.

Used to search through thousands of stages; those on the frontier are then built and evaluated exactly
(quantmcu/patch/search.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantmcu.codegen.kernel import StepContext, geometry_key
from quantmcu.codegen.registry import KernelFacts, choose_kernel, usable_kernels
from quantmcu.codegen.select import Selection, copy_cycles
from quantmcu.codegen.stage_memory import best_changes
from quantmcu.memory.buffers import collect_buffers
from quantmcu.memory.planner import ALIGNMENT
from quantmcu.memory.timeline import Slot, Timeline
from quantmcu.patch.axis import Axis, AxisTrace, CarriedSums
from quantmcu.patch.receptive_field import with_pads
from quantmcu.program import steps
from quantmcu.program.added_names import joining_name
from quantmcu.program.program import Program, Value

_MOST_SMALLER_KERNELS = 12
_NOTHING = CarriedSums(0, 0, 0, 0)


class Division(NamedTuple):
    """Into which cells a stage is divided: rows and columns of the grid, values whose rows and columns are carried."""

    grid: tuple[int, int]
    carrying: frozenset[str]
    carrying_columns: frozenset[str] = frozenset()


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
    """When the arrays of a stage live.

    Attributes:
        live: by slot and array, 1 or 0.
        names: of the arrays.
        shared: slots in which an array takes over the memory of another, and the two arrays.
        slots: names of the slots.
    """

    live: NDArray[np.int64]
    names: tuple[str, ...]
    shared: tuple[tuple[int, int, int], ...]
    slots: tuple[str, ...]

    def bytes_by_slot(
        self, nbytes: Mapping[str, int], scratch: Mapping[str, int], stores: Mapping[str, int]
    ) -> NDArray[np.int64]:
        """Bytes that live in each slot.

        Args:
            nbytes: of every array.
            scratch: of the slots' scratch memory.
            stores: of the stores of carried rows; the rows may stay in the cells' arrays instead.
        """
        sizes = np.array([_aligned(nbytes.get(name, 0)) for name in self.names], np.int64)
        live: NDArray[np.int64] = self.live @ sizes
        live = live + np.array([_aligned(scratch.get(name, 0)) for name in self.slots], np.int64)
        for slot, one, other in self.shared:
            live[slot] -= min(sizes[one], sizes[other])
        if stores:
            places = [self.names.index(name) for name in stores]
            stored = np.array([_aligned(size) for size in stores.values()])
            change = sizes[places, None] * (1 - self.live[:, places].T) - stored[:, None]
            live = live + stored.sum()
            live = live + change[best_changes(live, change)].sum(axis=0)
        return live


@dataclass
class _Exchange:
    """What cells exchange: bytes of stores of rows and columns and of arrays put together, and bytes copied in all."""

    rows: dict[str, int] = field(default_factory=dict)
    columns: dict[str, int] = field(default_factory=dict)
    fresh: dict[str, int] = field(default_factory=dict)
    moved: int = 0


@dataclass(frozen=True, eq=False)
class _Work:
    """What the cells compute and exchange, and the cycles of it all with the usual kernels, by step."""

    rows: AxisTrace
    columns: AxisTrace
    exchange: _Exchange
    facts: Mapping[str, KernelFacts]
    cycles: float


@dataclass
class KnownFacts:
    """What kernels said of steps in their largest cells: the usual kernel, and all that can compute the step."""

    usual: dict[tuple[object, ...], KernelFacts] = field(default_factory=dict)
    usable: dict[tuple[object, ...], list[KernelFacts]] = field(default_factory=dict)
    inside: dict[str, steps.Step] = field(default_factory=dict)

    def inside_map(self, step: steps.Step) -> steps.Step:
        """`step` as in a cell that meets no border; always the same object, of which kernels remember much."""
        return self.inside.setdefault(step.name, with_pads(step, (0, 0, 0, 0)))


class StageSketcher:
    """Sketches of one stage (its steps are given) with any grid.

    Args:
        program: without stages.
        inside: steps of the stage.
        inputs, outputs: whole maps that it reads and writes.
        base: kernels of all steps, layer by layer.
        axes: of the program; shared between sketchers.
        free: whole maps that need no RAM (the network's input when it is asked for on demand).
        known: what kernels said before; shared between sketchers.
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
        known: KnownFacts | None = None,
    ) -> None:
        self.program, self.inside, self.inputs, self.outputs = program, inside, inputs, outputs
        self.base, self.axes = base, axes
        self.free = free
        self.known = known or KnownFacts()
        self._rows: dict[tuple[int, frozenset[str]], AxisTrace] = {}
        self._columns: dict[tuple[int, frozenset[str]], AxisTrace] = {}
        self._lives: dict[tuple[object, ...], _Lives] = {}
        self._works: dict[Division, _Work] = {}
        self._steps = {step.name: step for step in inside}

    def check(self) -> None:
        """Refuses what can't be divided.

        Raises:
            NotDivisibleError: a step needs whole maps.
        """
        self._trace(0, 1, frozenset())
        self._trace(1, 1, frozenset())

    def cycles(self, division: Division) -> float:
        """Predicted cycles with the usual kernels: without the memory, which takes longer to find out."""
        return self._work_of(division).cycles

    def sketches(self, division: Division) -> Iterator[Sketch]:
        """Figures of a division: with the usual kernels, then with ones that take ever less memory at the peak."""
        work = self._work_of(division)
        rows, columns, exchange, facts = work.rows, work.columns, work.exchange, dict(work.facts)
        nbytes = {name: self._nbytes(name, rows.longest, columns.longest) for name in rows.longest}
        crops = frozenset(rows.crops.keys() | columns.crops.keys())
        for reader, index in crops:
            source = self.base[reader].step.inputs[index]
            height = rows.crops.get((reader, index), rows.longest[source])
            width = columns.crops.get((reader, index), columns.longest[source])
            nbytes[f"{reader}/{index}"] = height * width * self._value(source).row_bytes
        nbytes |= {f"{name}/fresh": size for name, size in exchange.fresh.items()}
        apart = frozenset(exchange.fresh)
        in_place = tuple(
            () if step.output in exchange.rows and step.output not in apart else facts[step.name].in_place
            for step in self.inside
        )
        lives = self._lives_of(crops, in_place, apart)
        scratch = {name: answer.scratch_bytes for name, answer in facts.items()}
        live = lives.bytes_by_slot(nbytes, scratch, exchange.rows)
        live += sum(map(_aligned, exchange.columns.values())) + self._whole_bytes(rows, columns)
        cycles = work.cycles
        yield Sketch(int(live.max()), cycles)
        for _ in range(_MOST_SMALLER_KERNELS):
            before = live.max()
            for slot in np.flatnonzero(live == before):
                step = self._steps.get(lives.slots[slot])
                smaller = None if step is None else self._smaller(step, rows, columns, facts[step.name])
                if step is None or smaller is None:
                    return
                live[slot] -= _aligned(facts[step.name].scratch_bytes) - _aligned(smaller.scratch_bytes)
                cycles += (smaller.cycles - facts[step.name].cycles) * self._share(step, rows, columns)
                facts[step.name] = smaller
            yield Sketch(int(live.max()), cycles)

    def _work_of(self, division: Division) -> _Work:
        if division not in self._works:
            rows = self._trace(0, division.grid[0], division.carrying)
            columns = self._trace(1, division.grid[1], division.carrying_columns)
            exchange = self._exchange(rows, columns)
            facts = {step.name: self._facts(step, rows, columns) for step in self.inside}
            whole = sum(self._value(name).nbytes for name in (*self.inputs, *self.outputs))
            cycles = copy_cycles(whole + exchange.moved)
            cycles += sum(facts[inner.name].cycles * self._share(inner, rows, columns) for inner in self.inside)
            self._works[division] = _Work(rows, columns, exchange, facts, cycles)
        return self._works[division]

    def _trace(self, axis: int, parts: int, carrying: frozenset[str]) -> AxisTrace:
        traces = self._columns if axis else self._rows
        if (parts, carrying) not in traces:
            traces[parts, carrying] = self.axes[axis].trace(self.inside, self.outputs, parts, carrying)
        return traces[parts, carrying]

    def _nbytes(self, name: str, rows: Mapping[str, int], columns: Mapping[str, int]) -> int:
        return self._value(name).row_bytes * rows[name] * columns[name]

    def _exchange(self, rows: AxisTrace, columns: AxisTrace) -> _Exchange:
        found = _Exchange()
        for name in rows.sums.keys() | columns.sums.keys():
            pixel = self._value(name).row_bytes
            above, beside = rows.sums.get(name, _NOTHING), columns.sums.get(name, _NOTHING)
            if above.most:
                found.rows[name] = above.most * columns.longest[name] * pixel
            if beside.most:
                found.columns[name] = beside.most * (above.extent or rows.longest[name]) * pixel
            unaligned = above.divisor * columns.common_divisor[name] * pixel % 4 > 0
            if beside.most > 0 and name in self.free if name in self.inputs else beside.most > 0 or unaligned:
                found.fresh[name] = self._nbytes(name, rows.most_computed, columns.most_computed)
                found.moved += rows.computed[name] * columns.computed[name] * pixel
            found.moved += 2 * pixel * (above.total * columns.held_sum[name] + beside.total * rows.computed[name])
        return found

    def _value(self, name: str) -> Value:
        return self.program.values[name]

    def _whole_bytes(self, rows: AxisTrace, columns: AxisTrace) -> int:
        """Bytes of the maps that the stage reads and writes; the output may lie over an input that is loaded once."""
        sizes = {name: _aligned(self._value(name).nbytes) for name in (*self.inputs, *self.outputs)}
        total = sum(size for name, size in sizes.items() if name not in self.free)
        if len(self.outputs) != 1:
            return total
        output = self.outputs[0]
        for name in self.inputs:
            if name not in self.free and self._is_behind(name, output, rows, columns):
                return total - min(sizes[name], sizes[output])
        return total

    def _is_behind(self, name: str, output: str, rows: AxisTrace, columns: AxisTrace) -> bool:
        """Whether every cell loads what earlier cells did not overwrite, if the output lies over input `name`."""
        source, result = self._value(name), self._value(output)
        if len(columns.stops[output]) == 1:
            written = rows.stops[output][:-1] * (result.nbytes // result.shape[1])
            read = rows.fresh[name][1:] * (source.nbytes // source.shape[1])
            return bool(((rows.fresh[name] >= rows.stops[name])[1:] | (read >= written)).all())
        once = all(axis.computed[name] <= axis.stops[name].max() for axis in (rows, columns))
        first = all((axis.stops[name] >= axis.stops[output]).all() for axis in (rows, columns))
        return (*source.shape[1:3], source.row_bytes) == (*result.shape[1:3], result.row_bytes) and once and first

    def _facts(self, step: steps.Step, rows: AxisTrace, columns: AxisTrace) -> KernelFacts:
        """What the kernel says of the largest cell."""
        size = (rows.most_computed[step.output], columns.most_computed[step.output])
        held = tuple((rows.longest.get(name), columns.longest.get(name)) for name in step.inputs)
        key = (step.name, size, held)
        if key not in self.known.usual:
            self.known.usual[key] = self._asked(step, rows, columns)
        return self.known.usual[key]

    def _smaller(
        self, step: steps.Step, rows: AxisTrace, columns: AxisTrace, present: KernelFacts
    ) -> KernelFacts | None:
        """What the fastest kernel says that takes less working memory than the present one."""
        if present.scratch_bytes == 0:
            return None
        context = self._context(step, rows, columns)
        key = (step.name, geometry_key(context))
        if key not in self.known.usable:
            self.known.usable[key] = usable_kernels(context, self.base[step.name].facts)
        others = self.known.usable[key]
        smaller = [facts for facts in others if facts.scratch_bytes < present.scratch_bytes]
        return min(smaller, key=lambda facts: facts.cycles, default=None)

    def _context(self, step: steps.Step, rows: AxisTrace, columns: AxisTrace) -> StepContext:
        """The step in the largest cell, inside the map."""
        return StepContext(
            self.known.inside_map(step),
            tuple(self._local(name, rows.longest, columns.longest) for name in step.inputs),
            self._local(step.output, rows.most_computed, columns.most_computed),
            self.base[step.name].context.core,
        )

    def _asked(self, step: steps.Step, rows: AxisTrace, columns: AxisTrace) -> KernelFacts:
        selection = self.base[step.name]
        if selection.kernel is None:
            return KernelFacts(None, in_place=(0,))
        context = self._context(step, rows, columns)
        answer = selection.facts.of(selection.kernel, context)
        if answer.refusal is None:
            return answer
        return selection.facts.of(choose_kernel([(context, 1)], selection.facts), context)

    def _local(self, name: str, rows: Mapping[str, int], columns: Mapping[str, int]) -> Value:
        value = self._value(name)
        if name not in rows or value.shape[1:3] == (1, 1):
            return value
        return Value(name, (1, rows[name], columns[name], value.shape[3]), value.bits, value.qparams)

    def _share(self, step: steps.Step, rows: AxisTrace, columns: AxisTrace) -> float:
        """How often the largest cell's work is done."""
        name = step.output
        most = rows.most_computed[name] * columns.most_computed[name]
        return rows.computed[name] * columns.computed[name] / most if most else 0.0

    def _lives_of(
        self, crops: frozenset[tuple[str, int]], in_place: tuple[tuple[int, ...], ...], apart: frozenset[str]
    ) -> _Lives:
        """Lives of the local arrays, from the same slots that the exact stage has."""
        key = (crops, in_place, apart)
        if key not in self._lives:
            local = {step.output for step in self.inside} | set(self.inputs)
            slots = [slot for name in self.inputs for slot in _making(Slot(f"load {name}", (), (name,)), apart)]
            for step, allowed in zip(self.inside, in_place, strict=True):
                reads = [name for name in step.inputs if name in local]
                for index, source in enumerate(step.inputs):
                    if (step.name, index) in crops:
                        slots.append(Slot(f"{step.name}/{index}", (source,), (f"{step.name}/{index}",)))
                        reads[reads.index(source)] = f"{step.name}/{index}"
                names = dict(zip((n for n in step.inputs if n in local), reads, strict=True))
                taken = tuple(names.get(step.inputs[index], "") for index in allowed)
                slots += _making(Slot(step.name, tuple(reads), (step.output,), taken), apart)
            self._lives[key] = _lives(slots)
        return self._lives[key]


def _making(slot: Slot, apart: frozenset[str]) -> list[Slot]:
    """The slots that make a cell's array; two where it is put together."""
    (name,) = slot.writes
    if name not in apart:
        return [slot]
    return [replace(slot, writes=(f"{name}/fresh",)), Slot(joining_name(slot.name), (f"{name}/fresh",), (name,))]


def _lives(slots: Sequence[Slot]) -> _Lives:
    names = tuple(dict.fromkeys(name for slot in slots for name in slot.writes))
    live = np.zeros((len(slots), len(names)), np.int64)
    shared = []
    for buffer in collect_buffers(Timeline(tuple(slots), dict.fromkeys(names, 1))):
        for tenant in buffer.tenants:
            live[tenant.first : tenant.last + 1, names.index(tenant.name)] = 1
        for one, other in pairwise(buffer.tenants):
            if one.last == other.first:
                shared.append((other.first, names.index(one.name), names.index(other.name)))
    return _Lives(live, names, tuple(shared), tuple(slot.name for slot in slots))


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
