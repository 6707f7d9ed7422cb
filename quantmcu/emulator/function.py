"""Runs single functions of an ELF file on an emulated core, without a board: for kernel tests and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import unicorn
from unicorn import arm_const
from unicorn.unicorn_py3.unicorn import Uc, UcError

from quantmcu.emulator.access_guard import AccessGuard
from quantmcu.emulator.counter import BlockCounter
from quantmcu.emulator.elf import Elf
from quantmcu.emulator.engine import create_engine, map_memory
from quantmcu.emulator.faults import ACCESS_NAMES, EmulatedFaultError, EmulationLimitError, Fault
from quantmcu.emulator.timing import CycleModel, cycle_model
from quantmcu.emulator.wait_states import MemoryModel
from quantmcu.errors import UsageError

FLASH_ORIGIN, FLASH_BYTES = 0x08000000, 2 << 20
RAM_ORIGIN, RAM_BYTES = 0x20000000, 1 << 20
STACK_BYTES = 64 << 10
# A mapped address that no code uses: a function returns to it.
_RETURN_ADDRESS = 0x1FFF0000
_STACK_PAINT = 0xA5
_GUARD_BYTES = 64


@dataclass(frozen=True)
class CallResult:
    """What a call did.

    Attributes:
        r0: the return value, unsigned; a 64-bit one has its upper half in `r1`.
        cycles: modelled cycles; instructions where the machine has no cycle model.
        instructions: executed instructions, with those skipped by IT.
        stack_bytes: greatest depth of the stack below the arguments.
        unaligned: data accesses not aligned to their size; only counted when `guard` is on.
    """

    r0: int
    r1: int
    cycles: int
    instructions: int
    stack_bytes: int
    unaligned: int


class FunctionMachine:
    """An emulated core with 2 MiB flash at 0x08000000, 1 MiB RAM at 0x20000000, and an ELF file where it is linked.

    Data and RAM code of the ELF are put directly at their run-time addresses. The upper 64 KiB of RAM are the stack.

    Args:
        elf: path or bytes; `compile_for_core` makes one from sources.
        core: `cortex-m4`, `cortex-m7`, ... (of `quantmcu.emulator.timing`).
        model: cycle model in place of the core's own; None counts instructions only.
        guard: report reads and writes outside of allocations, ELF data and stack, to the byte. Slower (some 20 million
            accesses a second).
        memory: memory model; None: memory without wait states.
        aligned: with `guard`, also report accesses that are not aligned to their size (4 bytes for longer ones).

    Raises:
        UsageError: the ELF does not fit these memories, or the core is unknown.
    """

    def __init__(
        self,
        elf: Path | bytes,
        core: str = "cortex-m7",
        *,
        model: CycleModel | str | None = "core",
        memory: MemoryModel | None = None,
        guard: bool = False,
        aligned: bool = False,
    ) -> None:
        self.elf = Elf(elf)
        self._engine = create_engine(core)
        self._memory = [(FLASH_ORIGIN, FLASH_BYTES), (RAM_ORIGIN, RAM_BYTES)]
        map_memory(self._engine, FLASH_ORIGIN, FLASH_BYTES, writable=False)
        map_memory(self._engine, RAM_ORIGIN, RAM_BYTES, writable=True)
        map_memory(self._engine, _RETURN_ADDRESS, 4096, writable=False)
        self._fault: tuple[str, int | None] | None = None
        self._engine.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._on_invalid_access)
        self._engine.hook_add(unicorn.UC_HOOK_INTR, self._on_interrupt)
        self._engine.hook_add(unicorn.UC_HOOK_INSN_INVALID, self._on_invalid_instruction)
        self._allowed = np.zeros(RAM_BYTES, np.uint8)
        self._allowed[RAM_BYTES - STACK_BYTES :] = 1
        self._free = RAM_ORIGIN
        self._load()
        chosen = cycle_model(core) if isinstance(model, str) else model
        self.counter = BlockCounter(self._engine, chosen, memory=memory)
        self._guard: AccessGuard | None = None
        if guard or aligned:
            self._guard = AccessGuard(self._engine, self._allowed, RAM_ORIGIN, aligned=aligned)

    def allocate(self, data: bytes | int, align: int = 16) -> int:
        """Places bytes (or so many zero bytes) in RAM and returns their address.

        Raises:
            UsageError: RAM is full.
        """
        content = bytes(data)
        # A guard zone on both sides, which `guard` reports accesses to.
        address = -(-(self._free + _GUARD_BYTES) // align) * align
        if address + len(content) + _GUARD_BYTES > RAM_ORIGIN + RAM_BYTES - STACK_BYTES:
            raise UsageError(
                f"the emulated machine has no room for {len(content):,} more bytes",
                why=f"{RAM_BYTES - STACK_BYTES:,} bytes of RAM, {self._free - RAM_ORIGIN:,} in use",
            )
        self._free = address + len(content)
        self._allow(address, len(content))
        self._engine.mem_write(address, content)
        return address

    def free_all(self) -> None:
        """Forgets all allocations."""
        start = self._elf_end - RAM_ORIGIN
        self._allowed[start : RAM_BYTES - STACK_BYTES] = 0
        self._free = self._elf_end

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes of memory."""
        return bytes(self._engine.mem_read(address, size))

    def write(self, address: int, data: bytes) -> None:
        """Overwrites memory, flash included."""
        self._engine.mem_write(address, data)

    def address_of(self, symbol: str) -> int:
        """Address of a function or object.

        Raises:
            UsageError: the ELF has no such symbol.
        """
        if symbol not in self.elf.symbols:
            raise UsageError(f"there is no symbol {symbol}", where=self.elf.name)
        return self.elf.symbols[symbol]

    def call(self, symbol: str, *arguments: int, limit: int = 2_000_000_000) -> CallResult:
        """Calls a function with integer or pointer arguments (r0 to r3, then the stack).

        Args:
            symbol: the function's name.
            arguments: 32-bit values; negative ones in two's complement.
            limit: instructions after which the call is given up.

        Raises:
            EmulatedFaultError: the function faults, or breaks the guard.
            EmulationLimitError: it does not return within the limit.
            UsageError: there is no such function.
        """
        entry = self.address_of(symbol)
        stack_top = self._prepare_registers(arguments)
        stack_floor = RAM_ORIGIN + RAM_BYTES - STACK_BYTES
        self._engine.mem_write(stack_floor, bytes([_STACK_PAINT]) * (stack_top - stack_floor))
        self._fault = None
        instructions, cycles = self.counter.instructions, self.counter.cycles
        self.counter.restart()
        self.counter.set_limit(limit)
        try:
            self._engine.emu_start(entry | 1, _RETURN_ADDRESS)
        except UcError as error:
            self._fault = self._fault or (str(error), None)
        self.counter.check()
        self._raise_fault(symbol)
        if self.counter.at_limit:
            raise EmulationLimitError(limit, self.elf.describe(self._register(arm_const.UC_ARM_REG_PC)), symbol)
        stack = np.frombuffer(self.read(stack_floor, stack_top - stack_floor), np.uint8)
        used = np.flatnonzero(stack != _STACK_PAINT)
        return CallResult(
            r0=self._register(arm_const.UC_ARM_REG_R0),
            r1=self._register(arm_const.UC_ARM_REG_R1),
            cycles=self.counter.cycles - cycles,
            instructions=self.counter.instructions - instructions,
            stack_bytes=len(stack) - int(used[0]) if used.size else 0,
            unaligned=self._guard.unaligned if self._guard is not None else 0,
        )

    def _load(self) -> None:
        end = RAM_ORIGIN
        for segment in self.elf.segments:
            first, last = segment.address, segment.address + segment.memory_size
            if not any(origin <= first and last <= origin + size for origin, size in self._memory):
                raise UsageError(
                    f"a segment at 0x{first:08x} of {segment.memory_size:,} bytes is outside the emulated memories",
                    where=self.elf.name,
                    why="flash 0x08000000, 2 MiB; RAM 0x20000000, 1 MiB",
                )
            self._engine.mem_write(first, segment.data)
            if first >= RAM_ORIGIN:
                self._allow(first, segment.memory_size)
                end = max(end, last)
        self._elf_end = self._free = end

    def _allow(self, address: int, size: int) -> None:
        self._allowed[address - RAM_ORIGIN : address - RAM_ORIGIN + size] = 1

    def _prepare_registers(self, arguments: tuple[int, ...]) -> int:
        """Sets up a call and returns the stack pointer at entry."""
        words = [argument & 0xFFFFFFFF for argument in arguments]
        registers = (
            arm_const.UC_ARM_REG_R0,
            arm_const.UC_ARM_REG_R1,
            arm_const.UC_ARM_REG_R2,
            arm_const.UC_ARM_REG_R3,
        )
        for register, word in zip(registers, words, strict=False):
            self._engine.reg_write(register, word)
        on_stack = words[4:]
        stack_pointer = (RAM_ORIGIN + RAM_BYTES - 4 * len(on_stack)) & ~7
        self._engine.mem_write(stack_pointer, np.array(on_stack, "<u4").tobytes())
        self._engine.reg_write(arm_const.UC_ARM_REG_SP, stack_pointer)
        self._engine.reg_write(arm_const.UC_ARM_REG_LR, _RETURN_ADDRESS | 1)
        if self._guard is not None:
            self._guard.restart()
        return stack_pointer

    def _register(self, register: int) -> int:
        return int(self._engine.reg_read(register))

    def _raise_fault(self, symbol: str) -> None:
        if self._guard is not None and (seen := self._guard.fault(self.elf)) is not None:
            raise EmulatedFaultError(seen, symbol)
        if self._fault is not None:
            what, address = self._fault
            raise EmulatedFaultError(self._fault_at(what, address, self._register(arm_const.UC_ARM_REG_PC)), symbol)

    def _fault_at(self, what: str, address: int | None, pc: int) -> Fault:
        return Fault(what, address, pc, self.elf.describe(pc))

    def _on_invalid_access(self, _: Uc, access: int, address: int, size: int, *__: object) -> bool:
        self._fault = (f"{ACCESS_NAMES.get(access, 'access')} of {size} bytes", address)
        return False

    def _on_interrupt(self, engine: Uc, number: int, *_: object) -> None:
        self._fault = ({2: "SVC", 7: "BKPT"}.get(number, f"exception {number}"), None)
        engine.emu_stop()

    def _on_invalid_instruction(self, _: Uc, *__: object) -> bool:
        self._fault = ("undefined instruction", None)
        return False
