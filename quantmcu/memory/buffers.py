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
    """The buffers of a timeline: arrays joined where a slot runs in place, plus scratch memory."""
    lives = _lives(timeline)
    owner: dict[str, str] = {name: name for name in lives}
    for index, slot in enumerate(timeline.slots):
        if not slot.writes or lives[slot.writes[0]][0] != index:
            continue  # a map that several cells write exists before
        for source in slot.in_place:
            if _dies(source, index, slot, lives, timeline):
                owner[slot.writes[0]] = owner[source]
                break
    members: dict[str, list[str]] = {}
    for name in sorted(lives, key=lambda name: lives[name][0]):
        members.setdefault(owner[name], []).append(name)
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


def _lives(timeline: Timeline) -> dict[str, tuple[int, int]]:
    """First and last slot of every array in RAM."""
    lives: dict[str, tuple[int, int]] = dict(timeline.spans)
    for index, slot in enumerate(timeline.slots):
        for name in (*slot.reads, *slot.writes):
            if name in timeline.nbytes:
                first, last = lives.get(name, (index, index))
                lives[name] = (min(first, index), max(last, index))
    return lives


def _dies(
    source: str, index: int, slot: Slot, lives: Mapping[str, tuple[int, int]], timeline: Timeline
) -> bool:
    """Whether nothing needs `source` any more once slot `index` has read it, and it is no constant."""
    return source in timeline.nbytes and lives[source][1] == index and slot.reads.count(source) == 1


def live_bytes(buffers: Sequence[Buffer], slot_count: int, align: int) -> list[int]:
    """Bytes that live during each slot, sizes rounded up to `align`: no placement needs less than their maximum."""
    live = [0] * slot_count
    for buffer in buffers:
        for index in range(buffer.first, buffer.last + 1):
            live[index] += -(-buffer.nbytes // align) * align
    return live
