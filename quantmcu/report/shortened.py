"""Names in terminal tables, as long as there is room."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

from quantmcu.report.text import ending

_LEAST = 12


class Shortened:
    """A name that gives up its beginning where a column is too narrow for it; for columns that may wrap."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Between a few characters and the whole name."""
        return Measurement(min(len(self.name), _LEAST), len(self.name))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """One line."""
        yield Text(ending(self.name, options.max_width), no_wrap=True)
