"""How long work tells where it is; the command line shows it, a library user may ignore it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Receives what a long job is doing. Every method may be called at any time and returns at once."""

    def stage(self, name: str) -> None:
        """A new stage starts; the one before is done."""

    def advance(self, done: int, total: int) -> None:
        """`done` of `total` parts of the current stage are done."""

    def note(self, text: str) -> None:
        """Something that the user should know: a decision, a warning."""


class SilentProgress:
    """Says nothing."""

    def stage(self, name: str) -> None:
        """Ignored."""

    def advance(self, done: int, total: int) -> None:
        """Ignored."""

    def note(self, text: str) -> None:
        """Ignored."""


class WithinStage:
    """Passes everything on but stages: for work that is a part of one."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def stage(self, name: str) -> None:
        """Ignored."""

    def advance(self, done: int, total: int) -> None:
        """Passed on."""
        self.progress.advance(done, total)

    def note(self, text: str) -> None:
        """Passed on."""
        self.progress.note(text)


class StageClock:
    """Measures the stages of a job and passes them on.

    Attributes:
        seconds: by stage, in the order of their start; a stage within another one counts by itself only.
        notes: everything noted.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}
        self.notes: list[str] = []
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """One stage, timed; it may be a part of another one, which then goes on."""
        self._count()
        self._running.append(name)
        self.seconds.setdefault(name, 0.0)
        self.progress.stage(name)
        try:
            yield
        finally:
            self._count()
            self._running.pop()
            if self._running:
                self.progress.stage(self._running[-1])

    def _count(self) -> None:
        """Adds the time since the last change to the stage that was running."""
        now = time.perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now

    def advance(self, done: int, total: int) -> None:
        """Passed on."""
        self.progress.advance(done, total)

    def note(self, text: str) -> None:
        """Kept for the result and passed on, once: several choices may come to the same."""
        if text not in self.notes:
            self.notes.append(text)
            self.progress.note(text)
