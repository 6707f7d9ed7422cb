"""Predicted cycles of a network as a function of the bits of one feature map: what fewer bits cost or save in time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from quantmcu.codegen.kernel import Core, StepContext
from quantmcu.codegen.registry import Facts, choose_kernel
from quantmcu.errors import QuantMCUError
from quantmcu.program.bitops import executed_steps
from quantmcu.program.program import Program


def map_cycles(program: Program, core: Core, candidates: Sequence[int] = (8, 4)) -> Mapping[tuple[str, int], float]:
    """By value and bits: the predicted cycles of all steps that read or write it, everything else as it is.

    Steps that no kernel computes with one map alone narrowed (input and output share their quantization) are left out.
    """
    facts = Facts()
    cycles: defaultdict[tuple[str, int], float] = defaultdict(float)
    for step, inputs, output in executed_steps(program):
        names = [value.name for value in (*inputs, output) if value.bits <= 8 and value.data is None]
        for name in dict.fromkeys(names):
            found: dict[int, float] = {}
            for bits in candidates:
                narrow = [replace(v, bits=bits) if v.name == name else v for v in (*inputs, output)]
                context = StepContext(step, tuple(narrow[:-1]), narrow[-1], core)
                try:
                    found[bits] = facts.of(choose_kernel([(context, 1)], facts), context).cycles
                except QuantMCUError:
                    break
            else:
                for bits, count in found.items():
                    cycles[name, bits] += count
    return cycles
