"""A board behind a serial port: the emulator on a pseudo-terminal, in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from quantmcu.emulator import Emulator
from quantmcu.emulator.transport import EmulatorPty
from quantmcu.results import Result


@contextmanager
def emulated_board(result: Result) -> Iterator[str]:
    """Path of the port of a board that runs the result's firmware."""
    done = threading.Event()
    with EmulatorPty(Emulator(result.elf, result.board)) as pty:
        thread = threading.Thread(target=pty.serve, args=(done.is_set,), daemon=True)
        thread.start()
        try:
            yield pty.path
        finally:
            done.set()
            thread.join(10)
