"""The emulated board's console as a line to a device: in this process, or as a pseudo-terminal for any program."""

from __future__ import annotations

import contextlib
import os
import select
import time
import tty
from collections.abc import Callable
from types import TracebackType
from typing import Self

from quantmcu.device.transport import Deadline
from quantmcu.emulator.emulator import Emulator

# A few milliseconds of work: short enough to see output soon and to be interrupted.
_SLICE = 4_000_000
_CHUNK = 65536
_IDLE_SECONDS = 0.05


class EmulatorTransport:
    """A `Transport` (quantmcu/device/transport.py) to an emulated board. The board runs while the host reads.

    Args:
        emulator: the board.
    """

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def write(self, data: bytes) -> None:
        """Queues `data` for the firmware."""
        self.emulator.console.write(data)

    def read(self, maximum: int, timeout: float) -> bytes:
        """Runs the board until it sends something; b"" when it has not within `timeout` seconds.

        Raises:
            EmulatedFaultError: a fault that no handler could take.
        """
        deadline = Deadline(timeout)
        while not self.emulator.console.has_output:
            if self.emulator.run_slice(_SLICE) is not None and not self.emulator.console.has_output:
                time.sleep(deadline.left)  # the firmware waits for us, so nothing can come
                break
            if deadline.passed:
                break
        return self.emulator.console.read(maximum)

    def close(self) -> None:
        """Nothing to close."""


class EmulatorPty:
    """The emulated board's console on a pseudo-terminal, which programs open like a serial port. A context manager.

    Attributes:
        path: the device to open, e.g. /dev/pts/3.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._host, self._device = os.openpty()
        tty.setraw(self._device)
        os.set_blocking(self._host, False)
        self.path = os.ttyname(self._device)

    def serve(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Runs the board and carries bytes both ways until `stop()`, which is asked some twenty times a second.

        Raises:
            EmulatedFaultError: a fault that no handler could take.
        """
        console = self._emulator.console
        unsent = b""
        while not stop():
            console.write(self._receive())
            waits = self._emulator.run_slice(_SLICE) is not None
            unsent = self._send(unsent + console.read())
            if waits:
                select.select([self._host], [self._host] if unsent else [], [], _IDLE_SECONDS)

    def close(self) -> None:
        """Removes the pseudo-terminal. More than once does no harm."""
        for descriptor in (self._host, self._device):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _receive(self) -> bytes:
        try:
            return os.read(self._host, _CHUNK)
        except BlockingIOError:
            return b""

    def _send(self, data: bytes) -> bytes:
        """Returns what did not fit."""
        try:
            return data[os.write(self._host, data) :] if data else b""
        except BlockingIOError:
            return data
