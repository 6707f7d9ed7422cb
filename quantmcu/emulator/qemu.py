"""QEMU as a second opinion: the firmware of the boards `qemu-m4` and `qemu-m7` on `qemu-system-arm`."""

from __future__ import annotations

import shutil
from pathlib import Path

from quantmcu.device.transport import ProcessTransport
from quantmcu.errors import ToolError, UsageError
from quantmcu.targets import Board

PROGRAM = "qemu-system-arm"


def start_qemu(elf: Path, board: Board) -> ProcessTransport:
    """Starts QEMU with the firmware; the transport is the board's console, and closing it ends QEMU.

    QEMU has no timing: the cycle counter reads 0.

    Raises:
        UsageError: QEMU has no such board, or there is no such file.
        ToolError: QEMU is not installed or does not start.
    """
    if board.qemu_machine is None:
        raise UsageError(
            f"QEMU cannot run firmware of {board.id}",
            why="its models of such boards do not boot a real clock set-up",
            hint="compile for qemu-m4 or qemu-m7, or use the emulator",
        )
    if not elf.is_file():
        raise UsageError("there is no such firmware", where=str(elf))
    program = shutil.which(PROGRAM)
    if program is None:
        raise ToolError(f"{PROGRAM} is not installed", hint="on Debian and Ubuntu: apt install qemu-system-arm")
    machine = ["-machine", board.qemu_machine, "-kernel", str(elf)]
    return ProcessTransport([program, *machine, "-display", "none", "-monitor", "none", "-serial", "stdio"])
