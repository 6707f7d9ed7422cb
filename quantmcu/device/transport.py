"""Where the bytes go: a serial port, a pseudo-terminal, a socket or a process."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

import serial

from quantmcu.errors import ToolError


class Transport(Protocol):
    """A line of bytes to a device, both ways."""

    def write(self, data: bytes) -> None:
        """Sends all of `data`.

        Raises:
            ToolError: the line is closed or broken.
        """

    def read(self, maximum: int, timeout: float) -> bytes:
        """At most `maximum` bytes, as soon as there are any; b"" when none came within `timeout` seconds.

        Raises:
            ToolError: the line is closed or broken.
        """

    def close(self) -> None:
        """Closes the line. More than once does no harm."""


class SerialTransport:
    """A serial port, also by the path of a pseudo-terminal or as `socket://host:port` (pyserial's URLs).

    Raises:
        ToolError: the port cannot be opened.
    """

    def __init__(self, port: str, baud: int = 115200, write_timeout: float = 10.0) -> None:
        self._port = port
        try:
            # Exclusive: a serial monitor beside us would take bytes away. pyserial's URLs know no such thing.
            self._serial = serial.serial_for_url(
                port, baudrate=baud, timeout=0, write_timeout=write_timeout, exclusive=None if "://" in port else True
            )
        except (serial.SerialException, ValueError, OSError) as error:
            raise ToolError(
                "the serial port cannot be opened",
                port,
                _reason(error),
                "is the board plugged in, and no serial monitor open on its port?",
            ) from error

    def write(self, data: bytes) -> None:
        """See Transport."""
        try:
            self._serial.write(data)
        except (serial.SerialException, OSError) as error:
            raise self._broken(error) from error

    def read(self, maximum: int, timeout: float) -> bytes:
        """See Transport."""
        try:
            # One byte, however long it takes, then what has come with it.
            self._serial.timeout = timeout
            first = bytes(self._serial.read(1))
            if not first or maximum == 1:
                return first
            self._serial.timeout = 0
            return first + bytes(self._serial.read(maximum - 1))
        except (serial.SerialException, OSError, TypeError) as error:
            # pyserial raises TypeError when another thread has closed the port meanwhile
            raise self._broken(error) from error

    def close(self) -> None:
        """See Transport."""
        with contextlib.suppress(serial.SerialException, OSError):
            self._serial.close()

    def _broken(self, error: Exception) -> ToolError:
        return ToolError(
            "the connection to the device broke off",
            self._port,
            _reason(error),
            "was the board unplugged, or is another program reading its port?",
        )


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


class ProcessTransport:
    """A program that speaks over its standard input and output (POSIX only).

    Raises:
        ToolError: the program cannot be started.
    """

    _STDERR_KEPT = 4000

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._command = list(command)
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        try:
            self._process = subprocess.Popen(
                self._command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=None if environment is None else dict(environment),
            )
        except OSError as error:
            self._stderr.close()
            raise ToolError("the program cannot be started", self._command[0], str(error)) from error

    def write(self, data: bytes) -> None:
        """See Transport."""
        assert self._process.stdin is not None
        try:
            view = memoryview(data)
            while view:
                view = view[self._process.stdin.write(view) or 0 :]
        except (OSError, ValueError) as error:
            raise self._ended() from error

    def read(self, maximum: int, timeout: float) -> bytes:
        """See Transport."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        if not select.select([descriptor], [], [], timeout)[0]:
            return b""
        data = os.read(descriptor, maximum)
        if not data:
            raise self._ended()
        return data

    def close(self) -> None:
        """See Transport. The program is ended if it doesn't end by itself."""
        if self._stderr.closed:
            return
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()

    def _ended(self) -> ToolError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5.0)
        self._stderr.seek(0)
        said = self._stderr.read().decode("utf-8", errors="replace").strip()
        status = self._process.returncode
        return ToolError(
            "the program ended in the middle",
            self._command[0],
            f"exit status {status}" + (f"; it said:\n{said[: self._STDERR_KEPT]}" if said else ""),
        )


class Deadline:
    """A moment in the future."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left, at least 0."""
        return max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether it is over."""
        return self.left == 0.0
