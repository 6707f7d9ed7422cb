"""What the commands print: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, RenderableType

from quantmcu.cli.progress import PlainProgress, QuietProgress, TerminalProgress
from quantmcu.errors import ProblemListError, QuantMCUError
from quantmcu.progress import Progress


@dataclass
class Output:
    """Where the commands print.

    Attributes:
        as_json: standard output takes one JSON document; an error is one line of JSON on standard error.
        verbose: errors come with tracebacks.
    """

    as_json: bool = False
    verbose: bool = False
    out: Console = field(default_factory=lambda: _console(stderr=False))
    err: Console = field(default_factory=lambda: _console(stderr=True))

    def progress(self) -> Progress:
        """For long work: a line that changes on a terminal, plain lines elsewhere; with --json only notes."""
        if self.as_json:
            return QuietProgress()
        return TerminalProgress(self.err) if self.err.is_terminal else PlainProgress()

    def show(self, document: Any, *renderables: RenderableType) -> None:
        """The result: `document` with --json, the renderables without, an empty line between them."""
        if self.as_json:
            sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        elif self.out.is_terminal:
            self._print(renderables)
        else:
            with self.out.capture() as capture:
                self._print(renderables)
            sys.stdout.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))
        sys.stdout.flush()

    def _print(self, renderables: Sequence[RenderableType]) -> None:
        for index, renderable in enumerate(renderables):
            if index > 0:
                self.out.print()
            self.out.print(renderable)

    def error(self, error: QuantMCUError) -> None:
        """An error, as people or programs read it."""
        if self.as_json:
            sys.stderr.write(json.dumps({"error": error_document(error)}, ensure_ascii=False) + "\n")
        else:
            sys.stderr.write(f"error: {error}\n")

    def say(self, text: str) -> None:
        """A line on standard error."""
        sys.stderr.write(f"{text}\n")


def _console(*, stderr: bool) -> Console:
    """Prints what it is given: brackets and colons in names, as in `quantmcu[zig]`, are no markup."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def error_document(error: QuantMCUError) -> dict[str, Any]:
    """An error for programs."""
    document: dict[str, Any] = {
        "what": error.what,
        "where": error.where,
        "why": error.why,
        "hint": error.hint,
        "status": int(error.status),
    }
    if isinstance(error, ProblemListError):
        document["problems"] = [error_document(problem) for problem in error.problems]
    return document
