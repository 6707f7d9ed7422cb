"""quantmcu plan"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import quantmcu
from quantmcu.atomic import write_text
from quantmcu.cli.command import command, progress
from quantmcu.cli.options import MODEL, patch_options, picture_option
from quantmcu.cli.output import Output
from quantmcu.report.frontier import frontier_summary, frontier_table, render_frontier


@command
@MODEL
@click.option("--board", required=True, help="Id of a board (`quantmcu boards`), or a manifest NAME.json.")
@patch_options
@picture_option("RAM against MACs and latency")
def plan_command(output: Output, model: Path, board: str, picture: Path | None, **options: Any) -> None:
    """Show the ways to run MODEL on a board: RAM against MACs and predicted latency.

    No calibration data is needed. The line that `compile` would take is marked.
    """
    with progress(output) as shown:
        frontier = quantmcu.plan(model, board, progress=shown, **options)
    if picture is not None:
        write_text(picture, render_frontier(frontier.as_dict()))
    output.show(frontier.as_dict(), frontier_table(frontier.as_dict()), frontier_summary(frontier.as_dict()))
