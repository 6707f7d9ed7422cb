"""Which arrays share a buffer, and how long each buffer lives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from quantmcu.memory.timeline import Slot, Timeline


@dataclass(frozen=True)
class Tenant:
    """An array, or scratch memory, in a buffer: `nbytes` from its start, during slots `first` to `last`."""

    name: str
    nbytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Buffer:
    """Memory that one or several arrays occupy in turn, all from the same address.

    At any time it is as large as the arrays that live then: behind a small array that took over the memory of a large
    one, the rest is free for others.

    Attributes:
        tenants: in the order of their creation.
        scratch_of: index of the slot whose scratch memory it is, or None.
    """

    tenants: tuple[Tenant, ...]
    scratch_of: int | None = None

    @property
    def values(self) -> tuple[str, ...]:
        """Names of the arrays; empty for scratch memory."""
        return tuple(tenant.name for tenant in self.tenants) if self.scratch_of is None else ()

    @cached_property
    def nbytes(self) -> int:
        """Bytes of the largest tenant."""
        return max(tenant.nbytes for tenant in self.tenants)

    @cached_property
    def first(self) -> int:
        """The first slot during which it is needed."""
        return min(tenant.first for tenant in self.tenants)

    @cached_property
    def last(self) -> int:
        """The last slot during which it is needed."""
        return max(tenant.last for tenant in self.tenants)

    @cached_property
    def present(self) -> tuple[tuple[int, ...], ...]:
        """For each slot from `first` to `last`, the indices of the tenants that live then."""
        slots = range(self.first, self.last + 1)
        return tuple(tuple(i for i, t in enumerate(self.tenants) if t.first <= slot <= t.last) for slot in slots)

    def bytes_at(self, slot: int) -> int:
        """Bytes that are in use during a slot."""
        return max((t.nbytes for t in self.tenants if t.first <= slot <= t.last), default=0)

    def bytes_beside(self, other: Buffer) -> int:
        """Most bytes in use at a time at which `other` is in use too."""
        return max(
            (
                mine.nbytes
                for mine in self.tenants
                for theirs in other.tenants
                if mine.first <= theirs.last and theirs.first <= mine.last
            ),
            default=0,
        )


def collect_buffers(timeline: Timeline) -> list[Buffer]:
    """The buffers of a timeline: arrays joined where a slot runs in place, plus scratch memory."""
    lives = _lives(timeline)
    takes_over = _takes_over(timeline, lives)
    members: dict[str, list[Tenant]] = {}
    lines = {name: _line(name, takes_over) for name in lives}
    for name in sorted(lives, key=lambda name: (lives[name][0], len(lines[name]))):
        members.setdefault(lines[name][-1], []).append(Tenant(name, timeline.nbytes[name], *lives[name]))
    scratch = [
        Buffer((Tenant("scratch", slot.scratch_bytes, index, index),), scratch_of=index)
        for index, slot in enumerate(timeline.slots)
        if slot.scratch_bytes
    ]
    return [*(Buffer(tuple(tenants)) for tenants in members.values()), *scratch]


def _takes_over(timeline: Timeline, lives: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    """For each array that may take over another's memory, that other one."""
    found: dict[str, str] = dict(timeline.overlays)
    for index, slot in enumerate(timeline.slots):
        if not slot.writes or lives[slot.writes[0]][0] != index:
            continue  # a map that several cells write exists before
        source = next((name for name in slot.in_place if _dies(name, index, slot, lives, timeline)), None)
        if source is not None:
            found[slot.writes[0]] = source
    return found


def _line(name: str, takes_over: Mapping[str, str]) -> list[str]:
    """An array, the one whose memory it takes over, the one whose memory that one took over, ..."""
    line = [name]
    while line[-1] in takes_over:
        line.append(takes_over[line[-1]])
    return line


def _lives(timeline: Timeline) -> dict[str, tuple[int, int]]:
    """First and last slot of every array in RAM."""
    lives: dict[str, tuple[int, int]] = dict(timeline.spans)
    for index, slot in enumerate(timeline.slots):
        for name in (*slot.reads, *slot.writes):
            if name in timeline.nbytes:
                first, last = lives.get(name, (index, index))
                lives[name] = (min(first, index), max(last, index))
    return lives


def _dies(source: str, index: int, slot: Slot, lives: Mapping[str, tuple[int, int]], timeline: Timeline) -> bool:
    """Whether nothing needs `source` any more once slot `index` has read it, and it is no constant."""
    return source in timeline.nbytes and lives[source][1] == index and slot.reads.count(source) == 1


def live_bytes(buffers: Sequence[Buffer], slot_count: int, align: int) -> list[int]:
    """Bytes that live during each slot, sizes rounded up to `align`: no placement needs less than their maximum."""
    live = [0] * slot_count
    for buffer in buffers:
        for index in range(buffer.first, buffer.last + 1):
            live[index] += -(-buffer.bytes_at(index) // align) * align
    return live


def tenants_at(buffers: Sequence[Buffer], slot: int) -> list[Tenant]:
    """Of each buffer in use during a slot, the array that needs most of it then; the largest first."""
    live = [[t for t in buffer.tenants if t.first <= slot <= t.last] for buffer in buffers]
    return sorted((max(tenants, key=lambda t: t.nbytes) for tenants in live if tenants), key=lambda t: -t.nbytes)


def without_arrays(buffers: Sequence[Buffer], names: Sequence[str]) -> list[Buffer]:
    """The buffers less some arrays, as if these lay in memory of their own."""
    kept = [(tuple(t for t in buffer.tenants if t.name not in names), buffer.scratch_of) for buffer in buffers]
    return [Buffer(tenants, scratch_of) for tenants, scratch_of in kept if tenants]
