"""One way to run a network, exactly as it would be compiled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from quantmcu.codegen.select import AnySelection, flat, predicted_cycles
from quantmcu.codegen.timeline import memory_timeline
from quantmcu.memory.buffers import Buffer, collect_buffers, live_bytes, without_arrays
from quantmcu.memory.planner import ALIGNMENT
from quantmcu.memory.timeline import Timeline
from quantmcu.patch.stage import StagePlan
from quantmcu.program.program import Program
from quantmcu.program.stages import PatchStage


@dataclass(frozen=True, eq=False)
class Candidate:
    """One way to run the network.

    Attributes:
        stages: patch stages in order; none for layer by layer.
        halo_modes: of each stage.
        channel_parts: into how many parts the channels of the widest convolution at the network's end are split; 1:
            none.
        program: the program with these stages.
        selections: kernels.
    """

    stages: tuple[StagePlan, ...]
    halo_modes: tuple[str, ...]
    channel_parts: int
    program: Program
    selections: Sequence[AnySelection]

    @cached_property
    def timeline(self) -> Timeline:
        """When it uses which memory."""
        return memory_timeline(self.program, self.selections)

    @cached_property
    def buffers(self) -> list[Buffer]:
        """What the memory planner places."""
        return collect_buffers(self.timeline)

    @cached_property
    def live(self) -> list[int]:
        """Bytes that live in each slot."""
        return live_bytes(self.buffers, len(self.timeline.slots), ALIGNMENT)

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Names of the patch stages, with which those of their arrays begin."""
        return tuple(step.name for step in self.program.steps if isinstance(step, PatchStage))

    @property
    def arena_bytes(self) -> int:
        """Most bytes that live at once."""
        return max(self.live, default=0)

    @property
    def peak_slot(self) -> int:
        """Index of the slot that sets it."""
        return self.live.index(self.arena_bytes)

    @cached_property
    def arena_bytes_without_input(self) -> int:
        """Most bytes at once, not counting arrays that hold the network's input (as published figures do)."""
        buffers = without_arrays(self.buffers, self.program.inputs)
        return max(live_bytes(buffers, len(self.timeline.slots), ALIGNMENT), default=0)

    @cached_property
    def cycles(self) -> float:
        """Predicted cycles of one inference."""
        return predicted_cycles(self.selections)

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates, those computed more than once counted each time."""
        return sum(selection.macs for selection in flat(self.selections))


def frontier(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that no other one beats in both memory and cycles, the fastest first."""
    best: list[Candidate] = []
    for item in sorted(candidates, key=lambda c: (c.cycles, c.arena_bytes)):
        if not best or item.arena_bytes < best[-1].arena_bytes:
            best.append(item)
    return best
