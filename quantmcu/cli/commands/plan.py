"""quantmcu plan"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import quantmcu
from quantmcu.cli.command import command, progress
from quantmcu.cli.options import MODEL, patch_options
from quantmcu.cli.output import Output
from quantmcu.report.frontier import frontier_summary, frontier_table, render_frontier
from quantmcu.report.picture import write_picture


@command
@MODEL
@click.option("--board", required=True, help="Id of a board (`quantmcu boards`), or a manifest NAME.json.")
@patch_options
@click.option(
    "--picture", metavar="FILE.svg", type=click.Path(path_type=Path), help="Also draw RAM against MACs and latency."
)
def plan_command(output: Output, model: Path, board: str, picture: Path | None, **options: Any) -> None:
    """Show the ways to run MODEL on a board: RAM against MACs and predicted latency.

    No calibration data is needed. The line that `compile` would take is marked.
    """
    with progress(output) as shown:
        frontier = quantmcu.plan(model, board, progress=shown, **options)
    if picture is not None:
        write_picture(render_frontier(frontier.as_dict()), picture)
    output.show(frontier.as_dict(), frontier_table(frontier.as_dict()), frontier_summary(frontier.as_dict()))
