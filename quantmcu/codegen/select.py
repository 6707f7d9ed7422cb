"""Chooses a kernel for every step, those inside patch stages included, and says what memory they need when."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from quantmcu.codegen.carried import Exchange, exchanges, moved_bytes
from quantmcu.codegen.flash_limits import with_fewer_constants, with_less_code
from quantmcu.codegen.kernel import Bits, Core, Kernel, StepContext, bits_of
from quantmcu.codegen.optimize import generated_code_limit
from quantmcu.codegen.registry import (
    Facts,
    FlashFacts,
    KernelFacts,
    choose_kernels,
    count_geometries,
    geometries_by_bits,
    least_scratch,
)
from quantmcu.codegen.stage_memory import StageMemory
from quantmcu.memory.timeline import Slot
from quantmcu.program import steps
from quantmcu.program.added_names import load_name
from quantmcu.program.macs import step_macs
from quantmcu.program.program import Program, Value
from quantmcu.program.stages import Cell, OutlierTest, PatchStage
from quantmcu.program.steps import Step


@dataclass(frozen=True, eq=False)
class Selection:
    """A step with its kernels, one for each combination of bits; a Reshape has none, since its output is its input.

    Attributes:
        contexts: one; for a step of a patch stage one for each branch that may run (`PatchStage.branches`), None where
            the branch has nothing to compute.
        kernels: by the bits of the maps around the step.
        runs: how often each context runs in an inference.
    """

    step: Step
    contexts: tuple[StepContext | None, ...]
    kernels: Mapping[Bits, Kernel]
    facts: Facts
    runs: tuple[float, ...]

    @property
    def kernel(self) -> Kernel | None:
        """The kernel of the first context."""
        return self.kernel_of(self.context) if self.kernels else None

    def kernel_of(self, context: StepContext) -> Kernel:
        """The kernel that computes `context`."""
        return self.kernels[bits_of(context)]

    @property
    def kernel_names(self) -> str:
        """Names of all kernels, for people."""
        return " / ".join(dict.fromkeys(kernel.name for kernel in self.kernels.values()))

    @cached_property
    def _answers(self) -> tuple[tuple[KernelFacts, float], ...]:
        """What the kernels say about each geometry, and how often it runs."""
        if not self.kernels:
            return ((KernelFacts(None, in_place=(0,)), 1),)
        return tuple((self.answer(context), count) for context, count in self.geometries)

    def answer(self, context: StepContext) -> KernelFacts:
        """What the kernel of `context` says about it."""
        return self.facts.of(self.kernel_of(context), context)

    @cached_property
    def flash(self) -> tuple[tuple[Kernel, FlashFacts], ...]:
        """The kernels, and what each puts into flash."""
        first: dict[Bits, StepContext] = {}
        for context in self.used if self.kernels else ():
            first.setdefault(bits_of(context), context)
        kernels = [(self.kernels[bits], context) for bits, context in first.items()]
        return tuple((kernel, self.facts.flash_of(kernel, context)) for kernel, context in kernels)

    @cached_property
    def constant_bytes(self) -> int:
        """Bytes of constants; what one kernel needs for several bits is mostly the same."""
        sizes: dict[str, int] = {}
        for kernel, flash in self.flash:
            sizes[kernel.name] = max(sizes.get(kernel.name, 0), flash.constants)
        return sum(sizes.values())

    @cached_property
    def code_bytes(self) -> Mapping[str, int]:
        """Estimated bytes of generated code by file, which other steps may share."""
        return {file: size for _, flash in self.flash for file, size in flash.code.items()}

    @cached_property
    def geometries(self) -> tuple[tuple[StepContext, float], ...]:
        """The contexts that differ, and how often each runs."""
        return count_geometries(self.contexts, self.runs)

    @property
    def used(self) -> tuple[StepContext, ...]:
        """The contexts in which something is computed."""
        return tuple(context for context in self.contexts if context is not None)

    @property
    def context(self) -> StepContext:
        """The first context; the only one outside patch stages."""
        return self.used[0]

    @property
    def scratch_bytes(self) -> int:
        """Bytes of scratch memory that suffice in every context."""
        return max(answer.scratch_bytes for answer, _ in self._answers)

    def with_less_scratch(self) -> Selection | None:
        """The same with the fastest kernels that take less scratch memory; None where there are none."""
        groups = geometries_by_bits(self.contexts)
        if not self.kernels or max(least_scratch(group, self.facts) for group in groups.values()) >= self.scratch_bytes:
            return None
        return replace(self, kernels=choose_kernels(self.contexts, self.facts, most_scratch=self.scratch_bytes - 1))

    @property
    def in_place(self) -> tuple[int, ...]:
        """Inputs whose memory the output may take over in every context."""
        allowed = [answer.in_place for answer, _ in self._answers]
        return tuple(index for index in allowed[0] if all(index in other for other in allowed))

    @property
    def cycles(self) -> float:
        """Predicted cycles, over all contexts."""
        return sum(answer.cycles * count for answer, count in self._answers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates, over all contexts."""
        return round(sum(step_macs(context.step, context.output) * count for context, count in self.geometries))


@dataclass(frozen=True, eq=False)
class StageSelection:
    """A patch stage with the kernels of its steps, in their order; the test of a cell's class comes first."""

    stage: PatchStage
    selections: tuple[Selection, ...]
    exchanges: Mapping[str, Exchange]

    def by_class(self, cost: Callable[[Selection, StepContext], float]) -> list[tuple[float, ...]]:
        """By cell, the cost of each branch that it may run: one, or that of the outlier class and the other one."""
        branches = [0.0] * len(self.stage.branches)
        for selection in self.selections:
            if len(selection.contexts) != len(branches):
                continue  # the test, which runs anyway
            for index, context in enumerate(selection.contexts):
                branches[index] += 0.0 if context is None else cost(selection, context)
        cells = len(self.stage.cells)
        return [tuple(branches[index::cells]) for index in range(cells)]

    def with_shares(self, shares: Sequence[float]) -> StageSelection:
        """The same where each cell is of the outlier class in this share of the inferences."""
        runs = (*shares, *(1 - share for share in shares))
        selections = (
            replace(inner, runs=runs) if len(inner.contexts) == len(runs) else inner for inner in self.selections
        )
        return replace(self, selections=tuple(selections))

    def in_worst_case(self) -> StageSelection:
        """The same where each cell runs the branch that takes more cycles."""
        if not isinstance(self.stage.classes, OutlierTest):
            return self
        cycles = self.by_class(lambda selection, context: selection.answer(context).cycles)
        return self.with_shares([float(outlier >= narrow) for outlier, narrow in cycles])

    @property
    def copy_cycles(self) -> float:
        """Predicted cycles of moving parts of maps and carried rows."""
        moved = moved_bytes(self.stage, self.exchanges)
        for cell in self.stage.cells:
            moved += sum(cell.fresh(name).nbytes for name in self.stage.inputs if name in cell.values)
            moved += sum(
                len(region.rows) * len(region.columns) * cell.values[name].row_bytes
                for name, region in cell.results.items()
            )
        return copy_cycles(moved)

    def local(self, name: str) -> str:
        """Name of a cell's own array, which is distinct from the whole map's."""
        return f"{self.stage.name}/{name}"

    @cached_property
    def memory(self) -> StageMemory:
        """Its slots and arrays; carried rows stay in the cells' arrays where that takes less memory."""
        plain = self._memory(frozenset())
        stay = plain.rows_that_stay()
        with_rows = self._memory(stay) if stay else plain
        return with_rows if with_rows.peak() < plain.peak() else plain

    def _memory(self, stay: frozenset[str]) -> StageMemory:
        stage, memory = self.stage, StageMemory()
        for cell in stage.branches:
            for name, value in cell.values.items():
                memory.nbytes[self.local(name)] = max(memory.nbytes.get(self.local(name), 0), value.nbytes)
        if isinstance(stage.classes, OutlierTest):
            memory.keep(self.local(self.selections[0].step.output), 1)
        for name in stage.inputs:
            slot = Slot(load_name(stage.name, name), (name,), (self.local(name),))
            memory.add(slot, self.exchanges.get(name), stay)
        for selection in self.selections:
            step = selection.step
            reads = tuple(self.local(name) if self.local(name) in memory.nbytes else name for name in step.inputs)
            results = tuple(name for name in stage.outputs if name == step.output)
            writes, in_place = (self.local(step.output), *results), tuple(reads[index] for index in selection.in_place)
            slot = Slot(step.name, reads, writes, in_place, selection.scratch_bytes)
            memory.add(slot, self.exchanges.get(step.output), stay)
        return memory


AnySelection = Selection | StageSelection

_COPY_CYCLES_PER_BYTE = 0.6
"""Of memcpy, rows of some hundred bytes, Cortex-M7 and M4 in the emulator."""


def copy_cycles(nbytes: float) -> float:
    """Predicted cycles of copying."""
    return _COPY_CYCLES_PER_BYTE * nbytes


def predicted_cycles(selections: Sequence[AnySelection]) -> float:
    """Cycles of one inference."""
    copies = sum(item.copy_cycles for item in selections if isinstance(item, StageSelection))
    return copies + sum(selection.cycles for selection in flat(selections))


def flat(selections: Sequence[AnySelection]) -> list[Selection]:
    """All selections, those inside stages included."""
    return [
        inner for item in selections for inner in (item.selections if isinstance(item, StageSelection) else (item,))
    ]


def select_kernels(
    program: Program, core: Core, facts: Facts | None = None, constant_bytes: int | None = None
) -> list[AnySelection]:
    """The kernels with the fewest predicted cycles on `core`, in the order of the program's steps.

    Args:
        program: with or without patch stages.
        core: to run on.
        facts: answers of kernels about the same steps, from earlier selections.
        constant_bytes: flash for weights, tables and generated code; None: any.

    Raises:
        QuantMCUError: a step that no kernel computes.
    """
    facts = facts or Facts()
    selected = [_select_any(program, step, core, facts) for step in program.steps]
    if constant_bytes is not None:
        selected = limit_constants(selected, constant_bytes)
    if core.optimize != "balanced":
        return selected
    return limit_generated_code(selected, generated_code_limit(constant_bytes))


def limit_generated_code(selections: Sequence[AnySelection], limit: int) -> list[AnySelection]:
    """The selections with less generated code, see `with_less_code`."""
    return _replaced(selections, with_less_code(flat(selections), limit))


def limit_constants(selections: Sequence[AnySelection], limit: int) -> list[AnySelection]:
    """The selections with fewer bytes of constants, see `with_fewer_constants`."""
    return _replaced(selections, with_fewer_constants(flat(selections), limit))


def _replaced(selections: Sequence[AnySelection], kept: Mapping[Selection, Selection]) -> list[AnySelection]:
    """Every selection replaced by that in `kept`."""

    def replaced(item: AnySelection) -> AnySelection:
        if isinstance(item, StageSelection):
            return replace(item, selections=tuple(kept[inner] for inner in item.selections)).in_worst_case()
        return kept[item]

    return [replaced(item) for item in selections]


def _select_any(program: Program, step: Step, core: Core, facts: Facts) -> AnySelection:
    if isinstance(step, PatchStage):
        return _select_stage(program, step, core, facts)
    return _select(program, step, core, facts)


def _select(program: Program, step: Step, core: Core, facts: Facts) -> Selection:
    context = StepContext(step, program.input_values(step), program.output_value(step), core)
    renames = isinstance(step, steps.Reshape) and _source_dies(program, step)
    return Selection(step, (context,), {} if renames else choose_kernels((context,), facts), facts, (1,))


def _select_stage(program: Program, stage: PatchStage, core: Core, facts: Facts) -> StageSelection:
    chosen = []
    if isinstance(stage.classes, OutlierTest):
        tests = tuple(_test_context(stage.classes, stage, cell, core) for cell in stage.cells)
        chosen.append(_selection(tests[0].step, tests, facts))
    for name in stage.order:
        contexts = tuple(_cell_context(program, cell, name, core) for cell in stage.branches)
        first = next(context for context in contexts if context is not None)
        chosen.append(_selection(replace(first.step, name=name), contexts, facts))
    return StageSelection(stage, tuple(chosen), exchanges(stage, program)).in_worst_case()


def _selection(step: Step, contexts: Sequence[StepContext | None], facts: Facts) -> Selection:
    return Selection(step, tuple(contexts), choose_kernels(contexts, facts), facts, (1.0,) * len(contexts))


def _test_context(test: OutlierTest, stage: PatchStage, cell: Cell, core: Core) -> StepContext:
    step = test.step(stage.name, cell)
    return StepContext(step, (cell.values[test.tensor],), Value(step.output, (1,), 8), core)


def _cell_context(program: Program, cell: Cell, name: str, core: Core) -> StepContext | None:
    step = cell.steps.get(name)
    if step is None:
        return None
    inputs = tuple(cell.values.get(operand) or program.values[operand] for operand in step.inputs)
    return StepContext(step, inputs, cell.fresh(step.output), core)


def _source_dies(program: Program, step: steps.Reshape) -> bool:
    """Whether the Reshape can be a mere change of name: its input is neither a constant nor needed after it.

    Of packed maps, the pixels have to stay what they are, since each starts on a new byte.
    """
    (source,) = step.inputs
    value, output = program.values[source], program.output_value(step)
    if value.shape[-1:] != output.shape[-1:] and any(v.nbytes * 8 != v.elements * v.bits for v in (value, output)):
        return False
    if program.values[source].data is not None or source in program.outputs:
        return False
    readers = [other for other in program.steps if source in other.inputs]
    return readers[-1] is step
