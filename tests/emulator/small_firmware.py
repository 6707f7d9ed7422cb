"""Builds small_firmware.c for a board and runs it in the emulator."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from quantmcu.emulator import Emulator
from quantmcu.emulator.console import KINDS
from quantmcu.emulator.objects import compile_for_core
from quantmcu.targets import Board, load_board

STACK_BYTES = 2048
_SCRIPT = """
ENTRY(Reset_Handler)
SECTIONS {{
  .text {flash:#x} : {{ KEEP(*(.vectors)) *(.text .text.* .rodata .rodata.*) }}
  .ARM.extab : {{ *(.ARM.extab*) }}
  .ARM.exidx : {{ *(.ARM.exidx*) }}
  .stack {ram:#x} (NOLOAD) : {{ stack_bottom = .; . += {stack}; stack_top = .; }}
  .noinit (NOLOAD) : {{ *(.noinit) }}
  .bss (NOLOAD) : {{ *(.data .data.* .bss .bss.* COMMON) }}
  /DISCARD/ : {{ *(.comment) *(.ARM.attributes) }}
}}
"""


@cache
def build(board_id: str) -> bytes:
    """The ELF file for a board."""
    board = load_board(board_id)
    kind = KINDS[board.console.kind]
    defines = {
        "FLASH": f"{board.flash.origin:#x}u",
        "UART": f"{board.console.base:#x}u",
        "RX_STATUS": kind.receive_status,
        "TX_STATUS": kind.send_status,
        "RX_BIT": kind.received,
        "TX_BIT": kind.can_send or 1,
        "TX_FULL_MEANS_WAIT": int(kind.can_send == 0),
        "RX_DATA": kind.receive,
        "TX_DATA": kind.send,
    }
    ram = board.regions_for("stack")[0].origin
    script = _SCRIPT.format(flash=board.flash.origin, ram=ram, stack=STACK_BYTES)
    flags = ["-O1", "-std=gnu11", "-Wno-infinite-recursion", *(f"-D{name}={value}" for name, value in defines.items())]
    source = Path(__file__).with_name("small_firmware.c")
    return compile_for_core([source], board.core, flags, linker_script=script)


def start(folder: Path, board: Board | str = "nucleo-f767", **options) -> Emulator:
    """An emulator with the firmware, waiting for its first command."""
    if isinstance(board, str):
        board = load_board(board)
    elf = folder / f"{board.id}.elf"
    elf.write_bytes(build(board.id))
    emulator = Emulator(elf, board, **options)
    emulator.run()
    emulator.console.read()
    return emulator


def command(emulator: Emulator, letters: str, limit: int = 10_000_000) -> str:
    """What the firmware answers to commands."""
    emulator.console.write(letters.encode())
    emulator.run(limit=limit)
    return emulator.console.read().decode()


def fields(answer: str) -> dict[str, int]:
    """The `name=hexadecimal` fields of the first line of an answer."""
    return {
        name: int(value, 16)
        for name, value in (word.split("=") for word in answer.splitlines()[0].split() if "=" in word)
    }
