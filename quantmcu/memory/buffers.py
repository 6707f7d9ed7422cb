"""Which arrays share a buffer, and how long each buffer lives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quantmcu.memory.timeline import Slot, Timeline


@dataclass(frozen=True)
class Buffer:
    """Memory that one or several arrays occupy in turn.

    Attributes:
        values: names of the arrays in it, in the order of their creation; empty for scratch memory.
        nbytes: the largest of them.
        first, last: slots between which it lives, both included.
        scratch_of: index of the slot whose scratch memory it is, or None.
    """

    values: tuple[str, ...]
    nbytes: int
    first: int
    last: int
    scratch_of: int | None = None

    def overlaps(self, other: Buffer) -> bool:
        """Whether both live during some slot."""
        return self.first <= other.last and other.first <= self.last


def collect_buffers(timeline: Timeline) -> list[Buffer]:
    """The buffers of a timeline: arrays joined where a slot runs in place, plus scratch memory.

    A join of arrays of different sizes lets the smaller one occupy the memory of the larger for its whole life. Such
    joins that are alive at the peak are undone, the one that lowers it most first, until none does.
    """
    lives = _lives(timeline)
    takes_over = _takes_over(timeline, lives)
    buffers = _buffers(timeline, lives, takes_over)
    peak, lowest = _peak(buffers, timeline)
    while True:
        alive = {name for b in buffers if b.first <= peak <= b.last for name in b.values}
        uneven = [n for n in takes_over if n in alive and timeline.nbytes[n] != timeline.nbytes[takes_over[n]]]
        best: str | None = None
        for name in uneven:
            attempt = _buffers(timeline, lives, {n: source for n, source in takes_over.items() if n != name})
            at, height = _peak(attempt, timeline)
            if height < lowest:
                best, buffers, peak, lowest = name, attempt, at, height
        if best is None:
            return buffers
        del takes_over[best]


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


def _buffers(timeline: Timeline, lives: Mapping[str, tuple[int, int]], takes_over: Mapping[str, str]) -> list[Buffer]:
    lines = {name: _line(name, takes_over) for name in lives}
    members: dict[str, list[str]] = {}
    for name in sorted(lives, key=lambda name: (lives[name][0], len(lines[name]))):
        members.setdefault(lines[name][-1], []).append(name)
    joined = [
        Buffer(
            tuple(names),
            max(timeline.nbytes[name] for name in names),
            min(lives[name][0] for name in names),
            max(lives[name][1] for name in names),
        )
        for names in members.values()
    ]
    scratch = [
        Buffer((), slot.scratch_bytes, index, index, scratch_of=index)
        for index, slot in enumerate(timeline.slots)
        if slot.scratch_bytes
    ]
    return joined + scratch


def _line(name: str, takes_over: Mapping[str, str]) -> list[str]:
    """An array, the one whose memory it takes over, the one whose memory that one took over, ..."""
    line = [name]
    while line[-1] in takes_over:
        line.append(takes_over[line[-1]])
    return line


def _peak(buffers: Sequence[Buffer], timeline: Timeline) -> tuple[int, int]:
    """The slot during which most bytes live, and how many."""
    live = live_bytes(buffers, len(timeline.slots), 1)
    most = max(live)
    return live.index(most), most


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
            live[index] += -(-buffer.nbytes // align) * align
    return live
