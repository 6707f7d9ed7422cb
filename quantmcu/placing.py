"""Places the buffers of candidates in a board's memory regions, and finds the smallest RAM in which one runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quantmcu.memory.budget import FIRMWARE_DATA_BYTES, Budget, budget_of
from quantmcu.memory.planner import ALIGNMENT, ArenaRegion, DoesNotFitError, MemoryPlan, plan_memory
from quantmcu.patch.candidate import Candidate
from quantmcu.targets import Board

_ENDLESS = 2**31


def place(candidate: Candidate, regions: Sequence[ArenaRegion]) -> MemoryPlan:
    """Places the buffers of a candidate.

    Raises:
        DoesNotFitError: they don't fit.
    """
    capacity = sum(region.capacity for region in regions)
    if candidate.arena_bytes > capacity:
        raise DoesNotFitError(
            candidate.live, capacity
        )  # without trying: no placement needs less than what lives at once
    return plan_memory(candidate.buffers, len(candidate.timeline.slots), regions)


def fits(candidate: Candidate, budget: Budget) -> bool:
    """Whether the buffers of a candidate can be placed."""
    try:
        place(candidate, budget.regions)
    except DoesNotFitError:
        return False
    return True


@dataclass(frozen=True, eq=False)
class SmallestPlan:
    """The plan that needs the least RAM.

    Attributes:
        candidate: how the network runs.
        memory: where everything lies if all RAM is one region.
        ram_bytes: RAM in which it was really placed, stack and the firmware's variables included.
        is_on_board: the board has so much RAM, and the buffers were placed in its regions; else in a single region.
    """

    candidate: Candidate
    memory: MemoryPlan
    ram_bytes: int
    is_on_board: bool

    @property
    def gap_bytes(self) -> int:
        """Bytes that it takes beyond those that live at once."""
        return self.memory.arena_bytes - self.candidate.arena_bytes


def smallest_plan(candidates: Sequence[Candidate], board: Board) -> SmallestPlan:
    """Of `candidates` (at least one) the plan that needs the least RAM when placed.

    That may be more than the bytes that live at once, by gaps between arrays.
    """
    region = ArenaRegion(board.regions_for("arena")[0].name, _ENDLESS)
    best: tuple[Candidate, MemoryPlan] | None = None
    for candidate in sorted(candidates, key=lambda one: one.arena_bytes):
        if best is not None and candidate.arena_bytes >= best[1].arena_bytes:
            break  # what lives at once is the least that any placement takes
        memory = place(candidate, [region])
        if best is None or memory.arena_bytes < best[1].arena_bytes:
            best = candidate, memory
    assert best is not None
    candidate, memory = best
    alone = memory.arena_bytes + board.stack_bytes + FIRMWARE_DATA_BYTES
    on_board = _least_on_board(candidate, board, alone)
    return SmallestPlan(candidate, memory, on_board or alone, on_board is not None)


def _least_on_board(candidate: Candidate, board: Board, start: int) -> int | None:
    """From `start` bytes on, the least RAM of the board whose regions hold the candidate; None: all of it does not."""

    def works(ram: int) -> bool:
        return fits(candidate, budget_of(board, ram=ram))

    if start > board.ram_bytes or works(start):
        return start if start <= board.ram_bytes else None
    if not works(board.ram_bytes):
        return None
    low, high = start, board.ram_bytes
    while high - low > ALIGNMENT:
        middle = (low + high) // 2 // ALIGNMENT * ALIGNMENT
        low, high = (low, middle) if works(middle) else (middle, high)
    return high
