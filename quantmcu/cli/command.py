"""What all commands share: --json, --verbose, and the object that they print through."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from quantmcu.cli.output import Output
from quantmcu.cli.progress import TerminalProgress
from quantmcu.progress import Progress


def command(function: Callable[..., None]) -> click.Command:
    """A click command that gets an `Output` as its first argument; its name and help come from the function."""

    @functools.wraps(function)
    def run(as_json: bool, verbose: bool, **arguments: Any) -> None:
        function(Output(as_json, verbose), **arguments)

    wrapped: Callable[..., Any] = run
    wrapped = click.option("-v", "--verbose", is_flag=True, help="Show tracebacks of errors.")(wrapped)
    wrapped = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")(wrapped)
    name = function.__name__.removesuffix("_command")
    return click.command(name, context_settings={"help_option_names": ["-h", "--help"]})(wrapped)


@contextmanager
def progress(output: Output) -> Iterator[Progress]:
    """Progress that cleans up its line on the terminal, whatever happens."""
    shown = output.progress()
    try:
        yield shown
    except BaseException:
        if isinstance(shown, TerminalProgress):
            shown.abandon()
        raise
    if isinstance(shown, TerminalProgress):
        shown.close()
