"""Progress on a terminal, in a log, and for programs."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.status import Status
from rich.text import Text


class PlainProgress:
    """One line a stage, for logs and pipes; long stages say how far they are every ten seconds."""

    _INTERVAL = 10.0

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._name = ""

    def stage(self, name: str) -> None:
        """See Progress. A stage that goes on after others, or comes again, is no news."""
        self._last = time.monotonic()
        if name != self._name:
            _write(f"{name} ...")
        self._name = name

    def advance(self, done: int, total: int) -> None:
        """See Progress."""
        now = time.monotonic()
        if now - self._last >= self._INTERVAL and done < total:
            self._last = now
            _write(f"  {done} of {total}")

    def note(self, text: str) -> None:
        """See Progress."""
        _write(f"note: {text}")


class QuietProgress:
    """Only notes."""

    def stage(self, name: str) -> None:
        """Ignored."""

    def advance(self, done: int, total: int) -> None:
        """Ignored."""

    def note(self, text: str) -> None:
        """See Progress."""
        _write(f"note: {text}")


class TerminalProgress:
    """One line that changes; each finished stage leaves a line with its time. Use `close` at the end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._name, self._start = "", 0.0

    def stage(self, name: str) -> None:
        """See Progress."""
        self._finish()
        self._name, self._start = name, time.monotonic()
        self._status = self._console.status(Text(name))
        self._status.start()

    def advance(self, done: int, total: int) -> None:
        """See Progress."""
        if self._status is not None:
            self._status.update(Text(f"{self._name} {done} of {total}"))

    def note(self, text: str) -> None:
        """See Progress."""
        self._console.print(f"note: {text}", style="yellow")

    def close(self) -> None:
        """Ends the last stage."""
        self._finish()

    def abandon(self) -> None:
        """Stops without a last line: something went wrong."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _finish(self) -> None:
        if self._status is not None:
            self.abandon()
            seconds = time.monotonic() - self._start
            self._console.print(Text.assemble(f"{self._name} ", (f"{seconds:.1f} s", "dim")))


def _write(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
