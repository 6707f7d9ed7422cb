"""Cortex-M0+: single issue, in order, two stages.

Instruction timing: Arm Cortex-M0+ Technical Reference Manual (DDI 0484), table 3-1, with the single-cycle multiplier.
Memory without wait states.
"""

from __future__ import annotations

from dataclasses import dataclass

from quantmcu.emulator.timing.instruction import BURSTS, Block, Instruction, Kind
from quantmcu.emulator.timing.model import CycleModel


@dataclass
class CortexM0Plus(CycleModel):
    """Timing of Cortex-M0+.

    Attributes:
        multiply_cycles: 1, or 32 on chips with the small multiplier.
    """

    name: str = "cortex-m0plus"
    multiply_cycles: int = 1

    def edge_half_cycles(self, previous: Block, block: Block, taken: bool) -> int:
        """See `CycleModel`."""
        cycles = sum(self._cycles(instruction) for instruction in block)
        if taken and previous:
            cycles += _taken_cycles(previous[-1])
        return 2 * cycles

    def _cycles(self, instruction: Instruction) -> int:
        match instruction.kind:
            case Kind.LOAD | Kind.STORE:
                return 2
            case kind if kind in BURSTS:
                return 1 + instruction.transfers
            case Kind.MULTIPLY:
                return self.multiply_cycles
            case Kind.SYSTEM:
                return 3
            case _:
                return 1


def _taken_cycles(branch: Instruction) -> int:
    """What a taken branch costs beyond the cycles of one that is not."""
    return 2 if branch.name == "bl" or (branch.writes_pc and branch.kind in BURSTS) else 1
