"""A board that exists only in memory: runs the very ELF file that is flashed."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Literal

import unicorn
from unicorn import arm_const
from unicorn.unicorn_py3.unicorn import Uc, UcError

from quantmcu.emulator.access_guard import AccessGuard
from quantmcu.emulator.console import Console
from quantmcu.emulator.core import CoreRegisters
from quantmcu.emulator.counter import BlockCounter
from quantmcu.emulator.elf import Elf
from quantmcu.emulator.engine import create_engine
from quantmcu.emulator.exceptions import (
    DEBUGEVT,
    HARD_FAULT,
    INVSTATE,
    STKOF,
    SVCALL,
    USAGE_FAULT,
    Cause,
    Exceptions,
    undefined_instruction,
)
from quantmcu.emulator.faults import ACCESS_NAMES, EmulatedFaultError, EmulationLimitError, Fault
from quantmcu.emulator.memory import load_elf, map_board
from quantmcu.emulator.profile import FunctionProfile, profile_by_function
from quantmcu.emulator.registers import RegisterFile
from quantmcu.emulator.rules import register_rules
from quantmcu.emulator.timing import FLOATING_POINT, Block, CycleModel, cycle_model
from quantmcu.emulator.wait_states import MemoryModel
from quantmcu.emulator.wait_states import memory_model as board_memory_model
from quantmcu.targets import Board

DEFAULT_LIMIT = 200_000_000_000
_SLICE = 20_000_000
_STACK_PAINT = 0xA5
_FETCHES = (unicorn.UC_MEM_FETCH_UNMAPPED, unicorn.UC_MEM_FETCH_PROT)
_SVC_INTERRUPT, _BKPT_INTERRUPT, _STACK_LIMIT_INTERRUPT = 2, 7, 19
_WFE = b"\x20\xbf"


class StopReason(Enum):
    """Why `Emulator.run` returned."""

    WAITING_FOR_INPUT = "the firmware waits for a byte on its console"
    CONDITION = "the caller's condition holds"
    HALTED = "the firmware waits for an interrupt, and none will come"


class Emulator:
    """An emulated board with an ELF file in its flash, just powered up.

    Modelled: memory regions, instructions, faults with their handlers, software reset (RAM is kept), memory protection
    (of forbidden regions), the cycle counter, the console UART, and ready flags by the rules in the board's manifest.
    Every other register reads as last written. Not modelled: interrupts, timers, DMA.

    Args:
        elf: the firmware.
        board: the board it was built for.
        cycle_model: "board" for the model that the manifest names, another model, or None to count instructions.
        memory_model: "board" for wait states and caches by the manifest, another model, or None for memory without wait
            states. With it the emulation is several times slower.
        aligned_in: name of a function: while it runs, an access that is not aligned to its size ends the run. (Cores
            with DSP instructions can do most of them, at a loss; kernels are written to need none.)

    Attributes:
        console: the UART; write to it and read from it between runs.
        faults: faults that the firmware's handlers got, in order.
        resets: software resets so far.

    Raises:
        UsageError: the ELF does not fit the board, or the manifest asks for what the emulator does not have.
        ToolError: the emulator does not run on this computer.
    """

    def __init__(
        self,
        elf: Path,
        board: Board,
        *,
        cycle_model: CycleModel | Literal["board"] | None = "board",
        memory_model: MemoryModel | Literal["board"] | None = None,
        aligned_in: str | None = None,
    ) -> None:
        self.elf = Elf(elf)
        self.board = board
        self.faults: list[Fault] = []
        self.resets = 0
        self._engine = create_engine(board.core)
        self._registers = RegisterFile(register_rules(board.emulator))
        model = _board_model(board) if cycle_model == "board" else cycle_model
        memory = board_memory_model(board) if memory_model == "board" else memory_model
        self._counter = BlockCounter(self._engine, model, self._inspect, memory)
        self._guard: AccessGuard | None = None
        if aligned_in is not None:
            self._guard = AccessGuard(self._engine, aligned=True)
            self._guard.only_during(self.elf.symbols[aligned_in])
        registers = self._registers
        self.console = Console(
            self._engine,
            board.console.kind,
            board.console.base,
            registers.read,
            registers.write,
            self._counter.stop_request_address,
        )
        map_board(self._engine, board, registers, self.console.page)
        load_elf(self._engine, board, self.elf)
        self._core = CoreRegisters(
            self._registers, board.core, board.vector_table, lambda: self._counter.cycles, self._request_reset
        )
        self._define_timers_and_resets()
        self._exceptions = Exceptions(self._engine, self._core, self._is_ram)
        self._cause: Cause | None = None
        self._pending_fault: tuple[str, int | None] | None = None
        self._reset_requested = False
        self._engine.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._on_invalid_access)
        self._engine.hook_add(unicorn.UC_HOOK_INSN_INVALID, self._on_invalid_instruction)
        self._engine.hook_add(unicorn.UC_HOOK_INTR, self._on_interrupt)
        self.reset()

    @property
    def cycles(self) -> int:
        """Modelled cycles since power-up; instructions without cycle model."""
        return self._counter.cycles

    @property
    def stall_cycles(self) -> int:
        """Those of the cycles in which the core waited for memory; 0 without memory model."""
        return self._counter.stall_cycles

    @property
    def instructions(self) -> int:
        """Instructions since power-up."""
        return self._counter.instructions

    @property
    def unwritten_reads(self) -> dict[int, int]:
        """How often registers were read that were never written and have no rule, by address."""
        return dict(self._registers.unwritten_reads)

    def reset(self) -> None:
        """What the reset pin does: the core and the peripherals start again, RAM keeps its contents."""
        self._registers.reset()
        self._core.reset()
        self._counter.restart()
        self.console.discard_input()
        vectors = self._engine.mem_read(self.board.vector_table, 8)
        self._engine.reg_write(arm_const.UC_ARM_REG_XPSR, 1 << 24)
        self._engine.reg_write(arm_const.UC_ARM_REG_CONTROL, 0)
        self._engine.reg_write(arm_const.UC_ARM_REG_PRIMASK, 0)
        self._engine.reg_write(arm_const.UC_ARM_REG_LR, 0xFFFFFFFF)
        self._engine.reg_write(arm_const.UC_ARM_REG_MSP, int.from_bytes(vectors[:4], "little"))
        self._engine.reg_write(arm_const.UC_ARM_REG_PC, int.from_bytes(vectors[4:], "little"))

    def run(self, until: Callable[[], bool] | None = None, limit: int = DEFAULT_LIMIT) -> StopReason:
        """Runs until the firmware waits for input.

        Args:
            until: ends the run when true; called some ten times a second, and whenever the firmware waits.
            limit: instructions after which the run is given up.

        Raises:
            EmulatedFaultError: a fault that no handler could take, an FPU instruction while the FPU is off, or an
                unaligned access during `aligned_in`.
            EmulationLimitError: the firmware was still at work after `limit` instructions.
        """
        end = self.instructions + limit
        while True:
            reason = self.run_slice(min(_SLICE, end - self.instructions))
            if until is not None and until():
                return StopReason.CONDITION
            if reason is not None:
                return reason
            if self.instructions >= end:
                raise EmulationLimitError(limit, self.elf.describe(self._pc), self.elf.name)

    def run_slice(self, instructions: int) -> StopReason | None:
        """Runs for about so many instructions; None when the firmware could go on.

        Raises:
            EmulatedFaultError: as for `run`.
        """
        self.console.prepare_run()
        end = self.instructions + instructions
        while True:
            self._counter.set_limit(max(0, end - self.instructions))
            self._cause = None
            halted = self._start_engine()
            self._counter.check()
            if self._guard is not None and (seen := self._guard.fault(self.elf)) is not None:
                raise EmulatedFaultError(seen, self.elf.name)
            if self._reset_requested:
                self._reset_requested = False
                self.resets += 1
                self.reset()
            elif self._cause is not None:
                self._take_exception(self._cause)
            elif self.console.idle:
                return StopReason.WAITING_FOR_INPUT
            elif halted:
                return StopReason.HALTED
            else:
                return None

    def profile(self) -> list[FunctionProfile]:
        """Cycles and instructions by function since power-up, most cycles first."""
        return profile_by_function(self.elf, self._counter.blocks(), self._counter.model)

    def stack_used(self) -> int | None:
        """Greatest depth of the stack in bytes, from the paint that start-up left; None where it left none."""
        symbols = self.elf.symbols
        if "stack_bottom" not in symbols or "stack_top" not in symbols:
            return None
        bottom, top = symbols["stack_bottom"], symbols["stack_top"]
        content = bytes(self._engine.mem_read(bottom, top - bottom))
        return len(content.lstrip(bytes([_STACK_PAINT])))

    def read_memory(self, address: int, size: int) -> bytes:
        """`size` bytes of RAM or flash."""
        return bytes(self._engine.mem_read(address, size))

    def write_memory(self, address: int, data: bytes) -> None:
        """Changes RAM between two slices of a run, such as painting an arena."""
        self._engine.mem_write(address, data)

    def _is_ram(self, address: int) -> bool:
        region = self.board.region_of(address)
        return region is not None and region.kind == "ram"

    @property
    def _pc(self) -> int:
        return int(self._engine.reg_read(arm_const.UC_ARM_REG_PC))

    def _start_engine(self) -> bool:
        """Runs until something stops the engine; true when nothing of ours did."""
        resumed_at = None
        while True:
            try:
                self._engine.emu_start(self._pc | 1, 0xFFFFFFFE)
            except UcError as error:
                if self._pc != resumed_at and self._is_behind_wfe():
                    self._cause = None
                    resumed_at = self._pc
                    continue
                if self._cause is None:
                    raise EmulatedFaultError(self._fault(str(error), None), self.elf.name) from error
            return self._cause is None and self._counter.ran_freely

    def _is_behind_wfe(self) -> bool:
        """Unicorn takes WFE for an invalid instruction, and stops behind it; it is one that need not wait."""
        undefined = self._cause is not None and self._cause.exception == USAGE_FAULT
        return undefined and bytes(self._engine.mem_read(self._pc - 2, 2)) == _WFE

    def _take_exception(self, cause: Cause) -> None:
        what, address = self._pending_fault or ("exception", None)
        if self._exceptions.is_return(self._pc):
            self._exceptions.return_to_thread(self._pc | 1)
            return
        fault = self._fault(what, address)
        problem = self._exceptions.take(cause)
        if problem is not None:
            raise EmulatedFaultError(fault, self.elf.name, hint=problem)
        if cause.exception != SVCALL:
            self.faults.append(fault)
        self._counter.restart()

    def _fault(self, what: str, address: int | None) -> Fault:
        return Fault(what, address, self._pc, self.elf.describe(self._pc))

    def _inspect(self, block: Block) -> None:
        """Looks at each block before it runs for the first time: Unicorn itself lets the FPU work always."""
        if self._core.fpu_enabled:
            return
        for instruction in block:
            if instruction.kind in FLOATING_POINT:
                what = f"FPU instruction ({instruction.name}) before CPACR enables the FPU"
                where = self.elf.describe(instruction.address)
                raise EmulatedFaultError(Fault(what, None, instruction.address, where), self.elf.name)

    def _define_timers_and_resets(self) -> None:
        for rule in register_rules(self.board.emulator):
            if rule.counts_hz is not None:
                self._registers.define(rule.address, read=self._timer(rule.counts_hz))
            if rule.resets_by_bit is not None:
                self._registers.define(rule.address, write=self._reset_switch(1 << rule.resets_by_bit))

    def _timer(self, hz: int) -> Callable[[], int]:
        return lambda: self._counter.cycles * hz // self.board.clock_hz & 0xFFFFFFFF

    def _reset_switch(self, mask: int) -> Callable[[int], None]:
        def written(value: int) -> None:
            if value & mask:
                self._request_reset()

        return written

    def _request_reset(self) -> None:
        self._reset_requested = True
        self._counter.request_stop()

    def _on_invalid_access(self, _: Uc, access: int, address: int, size: int, *__: object) -> bool:
        self._pending_fault = (f"{ACCESS_NAMES.get(access, 'access')} of {size} bytes", address)
        self._cause = self._exceptions.memory_fault(address, fetch=access in _FETCHES)
        return False

    def _on_invalid_instruction(self, engine: Uc, *_: object) -> bool:
        self._cause = undefined_instruction(int(engine.reg_read(arm_const.UC_ARM_REG_XPSR)))
        even = self._cause.cfsr == INVSTATE
        self._pending_fault = ("jump to an even address" if even else "undefined instruction", None)
        return False

    def _on_interrupt(self, engine: Uc, number: int, *_: object) -> None:
        if number == _SVC_INTERRUPT:
            self._pending_fault = ("SVC", None)
            self._cause = Cause(SVCALL)
        elif number == _BKPT_INTERRUPT:
            self._pending_fault = ("BKPT without a debugger", None)
            self._cause = Cause(HARD_FAULT, hfsr=DEBUGEVT)
        elif number == _STACK_LIMIT_INTERRUPT:
            self._pending_fault = ("stack pointer below its limit (MSPLIM)", None)
            self._cause = Cause(USAGE_FAULT, STKOF)
        else:
            self._pending_fault = (f"Unicorn's exception {number}", None)
            self._cause = self._exceptions.memory_fault(self._pc, fetch=True)
        engine.emu_stop()


def _board_model(board: Board) -> CycleModel | None:
    name = board.cycle_model.get("model")
    return cycle_model(name, **board.cycle_model.get("parameters", {})) if name else None
