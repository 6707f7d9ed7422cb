"""BitOPs: multiply-accumulates times the bits of both factors; what is computed more than once counts each time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from quantmcu.program import steps
from quantmcu.program.macs import step_macs
from quantmcu.program.program import Program, Value
from quantmcu.program.stages import PatchStage


def executed_steps(program: Program) -> Iterator[tuple[steps.Step, tuple[Value, ...], Value]]:
    """Every step as often as it runs, those of patch stages once a cell, with its inputs and the part it computes."""
    for step in program.steps:
        if not isinstance(step, PatchStage):
            yield step, program.input_values(step), program.output_value(step)
            continue
        for cell in step.cells:
            for name in step.order:
                inner = cell.steps.get(name)
                if inner is not None:
                    inputs = tuple(cell.values.get(n) or program.values[n] for n in inner.inputs)
                    yield inner, inputs, cell.fresh(inner.output)


def program_bitops(program: Program) -> int:
    """BitOPs of one inference."""
    return sum(
        step_macs(step, output) * step.weight_bits * inputs[0].bits
        for step, inputs, output in executed_steps(program)
        if isinstance(step, steps.Convolution)
    )


def bitops_of_a_bit(program: Program) -> Mapping[str, int]:
    """By value: the BitOPs of the steps that multiply it, for each bit that it has.

    Values that only rename or cut another one (reshapes, crops of patch stages) count as that one.
    """
    sources: dict[str, str] = {}
    costs: Counter[str] = Counter()
    for step, inputs, output in executed_steps(program):
        if isinstance(step, steps.Reshape | steps.Slice):
            sources[step.output] = step.inputs[0]
        if isinstance(step, steps.Convolution):
            cost = step_macs(step, output) * step.weight_bits
            name = inputs[0].name
            costs[name] += cost
            while name in sources:
                name = sources[name]
                costs[name] += cost
    return costs
