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
        seconds: by stage, in the order of their start.
        notes: everything noted.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}
        self.notes: list[str] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """One stage, timed."""
        self.progress.stage(name)
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def advance(self, done: int, total: int) -> None:
        """Passed on."""
        self.progress.advance(done, total)

    def note(self, text: str) -> None:
        """Kept for the result and passed on."""
        self.notes.append(text)
        self.progress.note(text)
