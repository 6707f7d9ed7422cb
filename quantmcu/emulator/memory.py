"""The memory of an emulated board: its regions, the ELF file in them, and its peripherals."""

from __future__ import annotations

from unicorn.unicorn_py3.unicorn import Uc

from quantmcu.emulator.console import PAGE_BYTES
from quantmcu.emulator.elf import Elf
from quantmcu.emulator.engine import map_memory
from quantmcu.emulator.registers import RegisterFile
from quantmcu.errors import UsageError
from quantmcu.targets import Board

# Armv7-M ARM, section B3.1: peripherals, and the private peripheral bus with the core's own registers.
PERIPHERALS = ((0x40000000, 0x20000000), (0xE0000000, 0x00100000))
# RAM after power-up holds no zeros that firmware could rely on.
_POWER_UP = b"\xdb"


def map_board(engine: Uc, board: Board, registers: RegisterFile, console_page: int) -> None:
    """Maps the regions of `board`, and all peripherals but the page of the console."""
    for region in board.memory:
        writable = region.kind == "ram"
        map_memory(engine, region.origin, region.size, writable=writable)
        if writable:
            engine.mem_write(region.origin, _POWER_UP * region.size)
    for origin, size in PERIPHERALS:
        if origin <= console_page < origin + size:
            _map_registers(engine, registers, origin, console_page - origin)
            after = console_page + PAGE_BYTES
            _map_registers(engine, registers, after, origin + size - after)
        else:
            _map_registers(engine, registers, origin, size)


def load_elf(engine: Uc, board: Board, elf: Elf) -> None:
    """Writes the ELF file's contents where flashing puts them.

    Raises:
        UsageError: part of it lies outside of the board's flash.
    """
    for segment in elf.segments:
        first, last = segment.load_address, segment.load_address + len(segment.data)
        if first == last:
            continue
        if not (board.flash.origin <= first and last <= board.flash.end):
            raise UsageError(
                f"the firmware does not fit the flash of {board.id}",
                where=elf.name,
                why=f"it has {len(segment.data):,} bytes at 0x{first:08x}; flash is 0x{board.flash.origin:08x} to "
                f"0x{board.flash.end - 1:08x}",
                hint="was it built for another board?",
            )
        engine.mem_write(first, segment.data)


def _map_registers(engine: Uc, registers: RegisterFile, origin: int, size: int) -> None:
    if size == 0:
        return

    def read(_: Uc, offset: int, width: int, __: object) -> int:
        return registers.read(origin + offset, width)

    def write(_: Uc, offset: int, width: int, value: int, __: object) -> None:
        registers.write(origin + offset, width, value)

    engine.mmio_map(origin, size, read, None, write, None)
