"""Counts executed instructions and modelled cycles of a Unicorn engine, block by block."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import unicorn
from unicorn.unicorn_py3.unicorn import Uc

from quantmcu.emulator import hook
from quantmcu.emulator.engine import add_native_hook, unicorn_function
from quantmcu.emulator.timing import Block, CycleModel, decode_block
from quantmcu.emulator.wait_states import MemoryModel, WaitStates
from quantmcu.errors import ToolError, UsageError

_EDGE_SLOTS = 1 << 18
_PREDICTION_SLOTS = 1 << 16


@dataclass(frozen=True)
class BlockCount:
    """Work done in one basic block: `half_cycles` without the model's scale; `stall_cycles` of the memory model."""

    address: int
    executions: int
    instructions: int
    half_cycles: int
    stall_cycles: int


class BlockCounter:
    """Hooks every basic block of `engine`.

    The cost of a block depends on the block before it; each such edge is costed once, when it is first taken, and then
    added up by machine code (`hook.c`).

    Args:
        engine: the Unicorn engine; must outlive the counter.
        model: cycle model, or None to count instructions only.
        inspect: called with each block before it is first executed; what it raises ends the run.
        memory: memory model, or None for memory without wait states.

    Raises:
        UsageError: a memory model without cycle model.
    """

    def __init__(
        self,
        engine: Uc,
        model: CycleModel | None,
        inspect: Callable[[Block], None] | None = None,
        memory: MemoryModel | None = None,
    ) -> None:
        if memory is not None and model is None:
            raise UsageError("a memory model adds to a cycle model, and there is none")
        self._engine = engine
        self.model = model
        self._inspect = inspect
        self._blocks: dict[tuple[int, int], Block] = {}
        self._error: BaseException | None = None
        self._edges = np.zeros(_EDGE_SLOTS * ctypes.sizeof(hook.Edge), np.uint8)
        self._predictions = np.zeros(_PREDICTION_SLOTS * ctypes.sizeof(hook.Prediction), np.uint8)
        self._wait_states = None if memory is None else WaitStates(engine, memory)
        self._cost_of_edge = hook.COST_OF_EDGE(self._fill_in_cost)
        self._state = hook.BlockCounterState(
            engine=engine._uch,
            edges=self._edges.ctypes.data,
            predictions=self._predictions.ctypes.data,
            cost_of_edge=self._cost_of_edge,
            stop=unicorn_function("uc_emu_stop"),
            instruction_limit=hook.NO_LIMIT,
            edge_mask=_EDGE_SLOTS - 1,
            prediction_mask=_PREDICTION_SLOTS - 1,
            misprediction_half_cycles=2 * model.misprediction_cycles if model else 0,
            memory=None if self._wait_states is None else self._wait_states.address,
        )
        add_native_hook(engine, unicorn.UC_HOOK_BLOCK, "count_block", self._state)

    @property
    def instructions(self) -> int:
        """Instructions executed so far, to the end of the current block."""
        return int(self._state.instructions)

    @property
    def cycles(self) -> int:
        """Modelled cycles so far; instructions where there is no model."""
        if self.model is None:
            return self.instructions
        return self.model.cycles(int(self._state.half_cycles)) + self.stall_cycles

    @property
    def stall_cycles(self) -> int:
        """Those of the cycles in which the core waited for memory; 0 without memory model."""
        return 0 if self._wait_states is None else self._wait_states.stall_cycles

    @property
    def at_limit(self) -> bool:
        """Whether the last run was stopped by `set_limit`."""
        return bool(self._state.stopped == hook.STOPPED_AT_LIMIT)

    @property
    def ran_freely(self) -> bool:
        """Whether the last run was stopped by nothing of ours."""
        return bool(self._state.stopped == hook.STOPPED_NOT)

    def set_limit(self, instructions: int | None) -> None:
        """To be called before the engine starts: stops it after so many more instructions (None: never)."""
        self._state.stopped = hook.STOPPED_NOT
        self._state.stop_requested = 0
        limit = hook.NO_LIMIT if instructions is None else self.instructions + instructions
        self._state.instruction_limit = limit

    def request_stop(self) -> None:
        """Stops the engine before the next block; callbacks of memory-mapped registers may not stop it themselves."""
        self._state.stop_requested = 1

    @property
    def stop_request_address(self) -> int:
        """Where machine code sets a word to 1 in place of calling `request_stop`."""
        return ctypes.addressof(self._state) + hook.BlockCounterState.stop_requested.offset

    def restart(self) -> None:
        """Forgets the block before: the next one follows a reset or an exception."""
        self._state.previous = 0
        self._state.previous_size = 0

    def check(self) -> None:
        """Raises what went wrong inside the callbacks, where no exception can pass.

        Raises:
            ToolError: the program has more edges than the table holds.
        """
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if self._state.stopped == hook.STOPPED_TABLE_FULL:
            raise ToolError(
                "the emulator's table of code blocks is full",
                why=f"it holds {_EDGE_SLOTS // 2} ways from block to block",
                hint="this firmware is larger than the emulator was made for; measure on the board",
            )

    def blocks(self) -> Iterator[BlockCount]:
        """The work done in each block, in no particular order; a block appears once for each block before it."""
        record = np.dtype(hook.Edge)
        penalty = int(self._state.misprediction_half_cycles)
        table = self._edges.view(record)
        for edge in table[table["count"] > 0]:
            count = int(edge["count"])
            half_cycles = count * int(edge["half_cycles"]) + penalty * int(edge["mispredicted"])
            instructions, stalls = count * int(edge["instructions"]), int(edge["stall_cycles"])
            yield BlockCount(int(edge["to"]), count, instructions, half_cycles, stalls)

    def _fill_in_cost(self, pointer: ctypes._Pointer[hook.Edge]) -> None:
        try:
            edge = pointer.contents
            block = self._decoded(edge.to, edge.to_size)
            if self._inspect is not None:
                self._inspect(block)
            edge.instructions = len(block)
            if self.model is not None:
                previous = self._decoded(edge.from_, edge.from_size)
                taken = edge.from_ + edge.from_size != edge.to
                edge.half_cycles = self.model.edge_half_cycles(previous, block, taken)
        except BaseException as error:
            self._error = error
            self._engine.emu_stop()

    def _decoded(self, address: int, size: int) -> Block:
        key = (address, size)
        if key not in self._blocks:
            self._blocks[key] = decode_block(bytes(self._engine.mem_read(address, size)), address) if size else ()
        return self._blocks[key]
