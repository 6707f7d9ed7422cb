"""Memory of a patch stage: its slots, its arrays, and which carried rows stay in the cells' arrays."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from quantmcu.codegen.carried import Exchange
from quantmcu.memory.buffers import collect_buffers
from quantmcu.memory.planner import ALIGNMENT
from quantmcu.memory.timeline import Slot, Timeline
from quantmcu.program.added_names import joining_name

Bytes = NDArray[np.int64]


def row_store(local: str) -> str:
    """Name of the array that holds carried rows of a cell's array between cells."""
    return f"{local}/carried"


def column_store(local: str) -> str:
    """Name of the array that holds carried columns of a cell's array between columns of cells."""
    return f"{local}/columns"


def fresh_array(local: str) -> str:
    """Name of the array that a step computes into before the cell's array is put together."""
    return f"{local}/fresh"


def tensor_of(array: str) -> str:
    """The local value that such an array holds."""
    return array.removesuffix("/carried").removesuffix("/columns").removesuffix("/fresh")


@dataclass
class StageMemory:
    """Slots of a stage, in order.

    Attributes:
        nbytes: of arrays that only the stage uses.
        lasting: those of them that live through all slots.
    """

    slots: list[Slot] = field(default_factory=list)
    nbytes: dict[str, int] = field(default_factory=dict)
    lasting: set[str] = field(default_factory=set)

    def add(self, slot: Slot, exchange: Exchange | None, stay: Collection[str]) -> None:
        """Appends the slot of a step that writes a cell's array, its first one, of which `exchange` is exchanged.

        Args:
            stay: cells' arrays in which carried rows stay, so that nothing may overwrite them.
        """
        local = slot.writes[0]
        slot = replace(slot, in_place=tuple(name for name in slot.in_place if name not in stay))
        if exchange is None:
            self.slots.append(slot)
            return
        if exchange.fresh:
            fresh = fresh_array(local)
            self.nbytes[fresh] = exchange.fresh
            self.slots.append(replace(slot, writes=(fresh,)))
            self.slots.append(Slot(joining_name(slot.name), (fresh,), slot.writes))
        else:
            self.slots.append(replace(slot, in_place=()))
        if local in stay:
            self.lasting.add(local)
        elif exchange.rows:
            self.keep(row_store(local), exchange.rows)
        if exchange.columns:
            self.keep(column_store(local), exchange.columns)

    def keep(self, store: str, nbytes: int) -> None:
        """Adds an array that lives through all slots."""
        self.nbytes[store] = nbytes
        self.lasting.add(store)

    def peak(self) -> int:
        """Most bytes of these arrays that live at once."""
        return int(self._live()[0].max(initial=0))

    def rows_that_stay(self) -> frozenset[str]:
        """Cells' arrays in which carried rows should stay to need the least memory."""
        live, occupied = self._live()
        names = [name for name in occupied if row_store(name) in self.lasting]
        if not names:
            return frozenset()
        local = np.array([_aligned(self.nbytes[name]) for name in names])
        store = np.array([_aligned(self.nbytes[row_store(name)]) for name in names])
        change = local[:, None] * (1 - np.array([occupied[name] for name in names])) - store[:, None]
        return frozenset(names[index] for index in best_changes(live, change))

    def _live(self) -> tuple[Bytes, dict[str, Bytes]]:
        """Bytes that live in each slot, and for each array in which slots its memory is taken (1 or 0)."""
        known = [
            Slot(
                slot.name,
                tuple(name for name in slot.reads if name in self.nbytes),
                tuple(name for name in slot.writes if name in self.nbytes),
                tuple(name for name in slot.in_place if name in self.nbytes),
                slot.scratch_bytes,
            )
            for slot in self.slots
        ]
        spans = dict.fromkeys(self.lasting, (0, len(known) - 1))
        live = np.zeros(len(known), np.int64)
        occupied: dict[str, Bytes] = {}
        for buffer in collect_buffers(Timeline(tuple(known), self.nbytes, spans)):
            for slot in range(buffer.first, buffer.last + 1):
                live[slot] += _aligned(buffer.bytes_at(slot))
            for tenant in buffer.tenants:
                occupied[tenant.name] = np.zeros(len(known), np.int64)
                occupied[tenant.name][tenant.first : tenant.last + 1] = 1
        return live, occupied


def best_changes(live: Bytes, change: Bytes) -> list[int]:
    """Which changes to make so that the most bytes at once become least, the best one first.

    Args:
        live: bytes in each slot.
        change: by change and slot, how many bytes more it takes.
    """
    chosen: list[int] = []
    while len(chosen) < len(change):
        peaks = (live + change).max(axis=1)
        peaks[chosen] = np.iinfo(np.int64).max
        best = int(peaks.argmin())
        if peaks[best] >= live.max():
            break
        chosen.append(best)
        live = live + change[best]
    return chosen


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
