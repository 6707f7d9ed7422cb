"""The firmware harness as a process behind a real pseudo-terminal, in place of a board; and a bad line to it."""

from __future__ import annotations

import contextlib
import os
import pty
import random
import signal
import subprocess
import tty
from collections.abc import Callable
from pathlib import Path

from quantmcu.build.host_compiler import sanitizer_environment
from quantmcu.device.transport import Transport


class NativeDevice:
    """A device that can be plugged in, reset, stalled and unplugged; `port` is what a host opens."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._controller, self._terminal = pty.openpty()
        tty.setraw(self._terminal)
        self.port = os.ttyname(self._terminal)
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [str(self._program)], stdin=self._controller, stdout=self._controller, env=sanitizer_environment()
        )

    def reset(self) -> None:
        """As by its reset button."""
        self._process.kill()
        self._process.wait()
        self._start()

    def stall(self) -> None:
        """Stops it without a word."""
        self._process.send_signal(signal.SIGSTOP)

    def close(self) -> None:
        """Unplugs it."""
        self._process.kill()
        self._process.wait()
        for descriptor in (self._controller, self._terminal):
            with contextlib.suppress(OSError):
                os.close(descriptor)


class BadLine:
    """A transport that loses, doubles, flips and invents bytes, and can do something after a number of writes."""

    def __init__(self, transport: Transport, seed: int, rate: float) -> None:
        self._transport = transport
        self._random = random.Random(seed)
        self._rate = rate
        self.damage = 0
        self.doubled_writes = 0.0
        self.lost_writes = 0.0
        self.before_write: Callable[[], None] = lambda: None

    def write(self, data: bytes) -> None:
        self.before_write()
        if self._random.random() < self.lost_writes:
            self.damage += 1
            return
        if self._random.random() < self.doubled_writes:
            self.damage += 1
            self._transport.write(self._damaged(data))
        self._transport.write(self._damaged(data))

    def read(self, maximum: int, timeout: float) -> bytes:
        return self._damaged(self._transport.read(maximum, timeout))

    def close(self) -> None:
        self._transport.close()

    def _damaged(self, data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            if self._random.random() >= self._rate:
                out.append(byte)
                continue
            self.damage += 1
            kind = self._random.randrange(4)
            if kind == 0:
                continue  # lost
            if kind == 1:
                out += bytes((byte, byte))
            elif kind == 2:
                out.append(byte ^ 1 << self._random.randrange(8))
            else:
                out += bytes((byte, self._random.randrange(256)))
        return bytes(out)
