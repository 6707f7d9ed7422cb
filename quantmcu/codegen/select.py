"""Chooses a kernel for every step."""

from __future__ import annotations

from dataclasses import dataclass

from quantmcu.codegen.kernel import Core, Kernel, StepContext
from quantmcu.codegen.registry import choose_kernel
from quantmcu.memory.buffers import StepMemory
from quantmcu.program import steps
from quantmcu.program.program import Program


@dataclass(frozen=True, eq=False)
class Selection:
    """A step with its kernel; a Reshape has none, since its output is its input."""

    context: StepContext
    kernel: Kernel | None

    @property
    def memory(self) -> StepMemory:
        """What the memory planner must know."""
        if self.kernel is None:
            return StepMemory(in_place=(0,))
        return StepMemory(self.kernel.in_place_inputs(self.context), self.kernel.scratch_bytes(self.context))

    @property
    def cycles(self) -> float:
        """Predicted cycles."""
        return 0.0 if self.kernel is None else self.kernel.cycles(self.context)


def select_kernels(program: Program, core: Core) -> list[Selection]:
    """One selection a step of `program`, in order: the kernel with the fewest predicted cycles on `core`.

    Raises:
        QuantMCUError: a step that no kernel computes.
    """
    selections = []
    for step in program.steps:
        context = StepContext(step, program.input_values(step), program.output_value(step), core)
        renames = isinstance(step, steps.Reshape) and _source_dies(program, step)
        selections.append(Selection(context, None if renames else choose_kernel(context)))
    return selections


def _source_dies(program: Program, step: steps.Reshape) -> bool:
    """Whether the Reshape can be a mere change of name: its input is neither a constant nor needed after it."""
    (source,) = step.inputs
    if program.values[source].data is not None or source in program.outputs:
        return False
    readers = [other for other in program.steps if source in other.inputs]
    return readers[-1] is step
