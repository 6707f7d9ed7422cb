"""quantmcu boards"""

from __future__ import annotations

from pathlib import Path

import click

import quantmcu
from quantmcu.cli.command import command
from quantmcu.cli.output import Output
from quantmcu.report.listings import boards_table
from quantmcu.targets import load_board_file


@command
@click.option("--check", metavar="FILE", type=click.Path(path_type=Path), help="Check a manifest of your own.")
def boards_command(output: Output, check: Path | None) -> None:
    """List the boards that firmware can be compiled for."""
    boards = quantmcu.boards() if check is None else [load_board_file(check)]
    document = [
        {
            "id": board.id,
            "name": board.name,
            "core": board.core,
            "clock_hz": board.clock_hz,
            "flash_bytes": board.flash_bytes,
            "ram_bytes": board.ram_bytes,
        }
        for board in boards
    ]
    good = [] if check is None else [f"{check} is a good manifest: `--board {check}`"]
    output.show(document, boards_table(boards), *good)
