"""Places buffers in the board's memory regions.

Offset assignment for buffers with lifetimes is dynamic storage allocation; first fit in a good order reaches the lower
bound on
most networks. Several orders are tried, then random changes of the best one, until the bound is met or the tries are
used up.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from quantmcu.memory.buffers import Buffer, live_bytes

ALIGNMENT = 8
_SHUFFLES = 400


@dataclass(frozen=True)
class ArenaRegion:
    """A memory region and the bytes in it that feature maps may use."""

    name: str
    capacity: int


@dataclass(frozen=True)
class Placement:
    """Where a buffer lies: byte `offset` in the arena of `region`."""

    region: str
    offset: int


@dataclass(frozen=True)
class MemoryPlan:
    """Where everything lies.

    Attributes:
        buffers, placements: parallel.
        region_bytes: arena size of each region that is used.
        lower_bound: most bytes that live at once (no plan needs less), at step `peak_step`.
        live: bytes that live during each step.
    """

    buffers: tuple[Buffer, ...]
    placements: tuple[Placement, ...]
    region_bytes: dict[str, int]
    lower_bound: int
    peak_step: int
    live: tuple[int, ...]

    @property
    def arena_bytes(self) -> int:
        """All arenas together."""
        return sum(self.region_bytes.values())

    def live_by_region(self, step: int) -> dict[str, int]:
        """Bytes that live in each region that is used, during a step."""
        found = dict.fromkeys(self.region_bytes, 0)
        for buffer, place in zip(self.buffers, self.placements, strict=True):
            found[place.region] += -(-buffer.bytes_at(step) // ALIGNMENT) * ALIGNMENT
        return found

    def value_placements(self) -> dict[str, Placement]:
        """Placement of each value."""
        return {
            name: place for buffer, place in zip(self.buffers, self.placements, strict=True) for name in buffer.values
        }

    def scratch_placements(self) -> dict[int, Placement]:
        """Placement of each step's scratch memory."""
        pairs = zip(self.buffers, self.placements, strict=True)
        return {buffer.scratch_of: place for buffer, place in pairs if buffer.scratch_of is not None}


class DoesNotFitError(Exception):
    """No placement was found. Carries the lower bound and the step that sets it."""

    def __init__(self, live: Sequence[int], capacity: int) -> None:
        self.live = tuple(live)
        self.needed = max(live)
        self.peak_step = self.live.index(self.needed)
        self.capacity = capacity
        super().__init__(f"{self.needed} bytes live at once, {capacity} are there")


def plan_memory(buffers: Sequence[Buffer], step_count: int, regions: Sequence[ArenaRegion]) -> MemoryPlan:
    """Places `buffers` in `regions`, the first regions first, with as few bytes as the search finds.

    Raises:
        DoesNotFitError: the buffers don't fit.
    """
    live = live_bytes(buffers, step_count, ALIGNMENT)
    bound = max(live, default=0)
    conflicts = _conflicts(buffers)
    best: tuple[Placement, ...] | None = None
    best_bytes = 0
    for order in _orders(buffers):
        places = _first_fit(buffers, conflicts, order, regions)
        if places is None:
            continue
        total = sum(_region_bytes(buffers, places).values())
        if best is None or total < best_bytes:
            best, best_bytes = places, total
        if best_bytes <= bound:
            break
    if best is None:
        raise DoesNotFitError(live, sum(region.capacity for region in regions))
    return MemoryPlan(
        tuple(buffers), best, _region_bytes(buffers, best), bound, live.index(bound) if live else 0, tuple(live)
    )


def _orders(buffers: Sequence[Buffer]) -> list[list[int]]:
    """Orders of placement to try: by size, by lifetime, by size times lifetime, then shuffled variants of these."""
    keys: list[Callable[[Buffer], tuple[int, ...]]] = [
        lambda b: (-b.nbytes, b.first),
        lambda b: (-(b.last - b.first), -b.nbytes),
        lambda b: (-b.nbytes * (b.last - b.first + 1), b.first),
        lambda b: (b.first, -b.nbytes),
        lambda b: (-b.last, -b.nbytes),
    ]

    def sorted_by(key: Callable[[Buffer], tuple[int, ...]]) -> list[int]:
        return sorted(range(len(buffers)), key=lambda i: (key(buffers[i]), i))

    orders = [sorted_by(key) for key in keys]
    generator = random.Random(0)  # deterministic output: the same program gets the same plan
    for index in range(_SHUFFLES):
        order = list(orders[index % len(keys)])
        for _ in range(1 + index // 40):
            a, b = generator.randrange(len(order)), generator.randrange(len(order))
            order.insert(b, order.pop(a))
        orders.append(order)
    return orders


_Conflicts = Sequence[Mapping[int, tuple[int, int]]]
"""By buffer, the others that are in use at the same time: bytes that the other needs then, and the buffer itself."""


def _conflicts(buffers: Sequence[Buffer]) -> _Conflicts:
    pairs: list[dict[int, tuple[int, int]]] = [{} for _ in buffers]
    for (i, a), (j, b) in combinations(enumerate(buffers), 2):
        if of_a := a.bytes_beside(b):
            of_b = b.bytes_beside(a)
            pairs[i][j], pairs[j][i] = (of_b, of_a), (of_a, of_b)
    return pairs


def _first_fit(
    buffers: Sequence[Buffer], conflicts: _Conflicts, order: Sequence[int], regions: Sequence[ArenaRegion]
) -> tuple[Placement, ...] | None:
    """Each buffer in turn at the lowest free offset of the first region with room; None when one finds none."""
    placed: dict[int, Placement] = {}
    for index in order:
        for region in regions:
            taken = sorted(
                (placed[other].offset - own, placed[other].offset + others)
                for other, (others, own) in conflicts[index].items()
                if other in placed and placed[other].region == region.name
            )
            offset = _lowest_gap(taken)
            if offset + buffers[index].nbytes <= region.capacity:
                placed[index] = Placement(region.name, offset)
                break
        else:
            return None
    return tuple(placed[index] for index in range(len(buffers)))


def _lowest_gap(taken: Sequence[tuple[int, int]]) -> int:
    """The lowest aligned offset strictly inside none of the sorted intervals, in which a buffer would touch another."""
    offset = 0
    for start, end in taken:
        if offset <= start:
            break
        offset = max(offset, -(-end // ALIGNMENT) * ALIGNMENT)
    return offset


def _region_bytes(buffers: Sequence[Buffer], places: Sequence[Placement]) -> dict[str, int]:
    """Bytes used of each region."""
    used: dict[str, int] = {}
    for buffer, place in zip(buffers, places, strict=True):
        end = -(-(place.offset + buffer.nbytes) // ALIGNMENT) * ALIGNMENT
        used[place.region] = max(used.get(place.region, 0), end)
    return used
