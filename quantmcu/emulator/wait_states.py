"""Memory with wait states behind small caches: the option that the cycle models leave out.

Each board's manifest describes it under `quantmcu.cycle_model.memory`:

    {"instruction_cache": {"bytes": 1024, "line_bytes": 8, "ways": 128},
     "data_cache": {"bytes": 256, "line_bytes": 8, "ways": 32},
     "miss_cycles": {"flash": 5}, "source": "..."}

A fetch or read whose line is missing waits `miss_cycles` of its memory region; regions without an entry answer at once.
Writes bring their line in, but nothing waits for them. Modelled: which lines are held, least recently used replaced.
Not modelled: prefetching, the order of fills, lines written back, contention on the bus.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import unicorn
from unicorn import arm_const
from unicorn.unicorn_py3.unicorn import Uc

from quantmcu.emulator import hook
from quantmcu.emulator.engine import add_native_hook, unicorn_function
from quantmcu.errors import UsageError
from quantmcu.targets import Board


@dataclass(frozen=True)
class Cache:
    """A cache of `size` bytes in lines of `line_bytes` (a power of two), `ways` of them in a set; no ways: no cache."""

    size: int
    line_bytes: int
    ways: int

    def __post_init__(self) -> None:
        sets = self.sets
        if self.ways and (self.size != sets * self.ways * self.line_bytes or sets & (sets - 1)):
            raise ValueError(f"a cache of {self.size} bytes, {self.ways} ways of {self.line_bytes}-byte lines")

    @property
    def sets(self) -> int:
        """How many sets; a power of two."""
        return max(1, self.size // (self.ways * self.line_bytes)) if self.ways else 1


@dataclass(frozen=True)
class SlowMemory:
    """Addresses whose missing lines cost `fetch_cycles` (instructions) or `read_cycles` (data) of waiting."""

    origin: int
    size: int
    fetch_cycles: int
    read_cycles: int


@dataclass(frozen=True)
class MemoryModel:
    """Caches and the memories behind them."""

    instructions: Cache
    data: Cache
    memories: tuple[SlowMemory, ...]


def memory_model(board: Board) -> MemoryModel:
    """The memory model in the manifest of `board`.

    Raises:
        UsageError: it has none, or one that cannot be.
    """
    entry: Mapping[str, Any] | None = board.cycle_model.get("memory")
    if entry is None:
        raise UsageError(
            f"there is no memory model of {board.id}",
            why="its manifest does not describe wait states and caches (quantmcu.cycle_model.memory)",
            hint="measure without it: core only, memory without wait states",
        )
    try:
        memories = tuple(
            SlowMemory(board.region(name).origin, board.region(name).size, cycles, cycles)
            for name, cycles in entry["miss_cycles"].items()
        )
        if len(memories) > hook.SLOW_MEMORIES:
            raise ValueError(f"{len(memories)} memory regions with wait states; at most {hook.SLOW_MEMORIES}")
        return MemoryModel(_cache(entry["instruction_cache"]), _cache(entry["data_cache"]), memories)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"the manifest of {board.id} describes its memory model wrongly",
            where="quantmcu.cycle_model.memory",
            why=f"{type(error).__name__}: {error}",
            hint="see quantmcu/emulator/wait_states.py for the fields",
        ) from error


def _cache(entry: Mapping[str, int]) -> Cache:
    return Cache(entry["bytes"], entry["line_bytes"], entry["ways"])


class WaitStates:
    """Adds the waiting of `model` to what the block counter of `engine` counts.

    Only an engine with it has memory hooks: they take most of an emulation's time.
    """

    def __init__(self, engine: Uc, model: MemoryModel) -> None:
        self._buffers: list[np.ndarray[Any, np.dtype[np.uint32]]] = []
        padding = [SlowMemory(0, 0, 0, 0)] * (hook.SLOW_MEMORIES - len(model.memories))
        memories = [
            hook.SlowMemory(m.origin, m.size, m.fetch_cycles, m.read_cycles) for m in (*model.memories, *padding)
        ]
        self._state = hook.MemoryModelState(
            instructions=self._cache(model.instructions),
            data=self._cache(model.data),
            memories=(hook.SlowMemory * hook.SLOW_MEMORIES)(*memories),
            write_register=unicorn_function("uc_reg_write"),
            epsr_id=arm_const.UC_ARM_REG_EPSR,
            write_type=unicorn.UC_MEM_WRITE,
        )
        self._no_block = ctypes.c_uint64()  # takes the accesses before the first block
        self._state.stall_cycles_of_block = ctypes.addressof(self._no_block)
        kinds = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
        for memory in model.memories:
            add_native_hook(engine, kinds, "time_access", self._state, memory.origin, memory.origin + memory.size - 1)

    @property
    def address(self) -> int:
        """Of the structure that the block counter works with."""
        return ctypes.addressof(self._state)

    @property
    def stall_cycles(self) -> int:
        """Cycles waited so far."""
        return int(self._state.stall_cycles)

    @property
    def instruction_misses(self) -> int:
        """Lines fetched so far for want of them in the instruction cache."""
        return int(self._state.instructions.misses)

    @property
    def data_misses(self) -> int:
        """Lines read or written so far that the data cache did not hold."""
        return int(self._state.data.misses)

    def _cache(self, cache: Cache) -> hook.CacheState:
        lines, used = (np.zeros(cache.sets * max(1, cache.ways), np.uint32) for _ in range(2))
        self._buffers += [lines, used]
        return hook.CacheState(
            lines=lines.ctypes.data,
            used=used.ctypes.data,
            set_mask=cache.sets - 1,
            ways=cache.ways,
            line_shift=cache.line_bytes.bit_length() - 1,
        )
