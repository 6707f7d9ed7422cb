"""What a cycle model offers to the block counter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from quantmcu.emulator.timing.instruction import Block


@dataclass
class CycleModel(ABC):
    """Cost of executing one basic block after another, on a core with zero-wait-state memory.

    Attributes:
        name: the core, as board manifests name it.
        scale: factor on every total, fitted on measurements.
        misprediction_cycles: added for each branch that the core's predictor gets wrong; 0 without a predictor.
    """

    name: str = ""
    scale: float = 1.0
    misprediction_cycles: int = 0

    @abstractmethod
    def edge_half_cycles(self, previous: Block, block: Block, taken: bool) -> int:
        """Half cycles (a dual-issue core's slots) that `block` takes when it follows `previous`.

        Args:
            previous: the block executed before; empty after a reset or an exception.
            block: the block entered.
            taken: whether a taken branch leads from one to the other, in place of falling through.
        """

    def cycles(self, half_cycles: int) -> int:
        """Total cycles of a sum of edges."""
        return int(half_cycles * self.scale / 2)
