"""The order in which memory is used: slots, each of which reads and writes arrays.

A step of the program is a slot. A patch stage is a slot for each input that its cells load and for each of their
steps; the slots
repeat for every cell, so what lives from cell to cell (whole maps, carried rows) lives through all slots of the stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Slot:
    """One use of memory.

    Attributes:
        name: of the step.
        reads, writes: names of arrays.
        in_place: arrays among `reads` whose memory the first array written may take over.
        scratch_bytes: needed during the slot only.
    """

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    in_place: tuple[str, ...] = ()
    scratch_bytes: int = 0


@dataclass(frozen=True)
class Timeline:
    """All slots in order.

    Attributes:
        nbytes: size of each array; arrays without an entry (constants) need no RAM.
        spans: arrays that must live at least from one slot to another, both included: network inputs and outputs, maps
        and
            carried rows of patch stages.
        overlays: arrays that share the memory of another one (from its start) although both live: a patch stage may
            write its output where it has read its input.
    """

    slots: tuple[Slot, ...]
    nbytes: Mapping[str, int]
    spans: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    overlays: Mapping[str, str] = field(default_factory=dict)
