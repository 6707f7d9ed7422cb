"""Where the cycles went, by function."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from quantmcu.emulator.counter import BlockCount
from quantmcu.emulator.elf import Elf
from quantmcu.emulator.timing import CycleModel


@dataclass(frozen=True)
class FunctionProfile:
    """Work done in one function, without the functions that it called. Without cycle model, cycles are instructions.

    `stall_cycles` are those of the cycles in which the core waited for memory, by the memory model.
    """

    name: str
    cycles: int
    instructions: int
    stall_cycles: int = 0

    @property
    def cycles_per_instruction(self) -> float:
        """CPI."""
        return self.cycles / self.instructions if self.instructions else 0.0


def profile_by_function(elf: Elf, blocks: Iterable[BlockCount], model: CycleModel | None) -> list[FunctionProfile]:
    """Sums blocks by the function that holds them, most cycles first. Code without symbol counts as `?`."""
    half_cycles: dict[str, int] = defaultdict(int)
    stall_cycles: dict[str, int] = defaultdict(int)
    instructions: dict[str, int] = defaultdict(int)
    for block in blocks:
        function = elf.function_at(block.address)
        name = function.name if function is not None else "?"
        half_cycles[name] += block.half_cycles
        stall_cycles[name] += block.stall_cycles
        instructions[name] += block.instructions
    profiles = [
        FunctionProfile(
            name,
            model.cycles(half_cycles[name]) + stall_cycles[name] if model else count,
            count,
            stall_cycles[name],
        )
        for name, count in instructions.items()
    ]
    return sorted(profiles, key=lambda p: (-p.cycles, p.name))
