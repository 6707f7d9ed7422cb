"""quantmcu boards"""

from __future__ import annotations

from pathlib import Path

import click

import quantmcu
from quantmcu.board_check import check_board
from quantmcu.cli.command import command, progress
from quantmcu.cli.output import Output
from quantmcu.errors import ProblemListError
from quantmcu.report.listings import boards_table
from quantmcu.targets import Board


@command
@click.option(
    "--check",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Check a manifest of your own: link a small network for it, boot it in the emulator.",
)
def boards_command(output: Output, check: Path | None) -> None:
    """List the boards that firmware can be compiled for."""
    boards = quantmcu.boards() if check is None else [_checked(check, output)]
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


def _checked(path: Path, output: Output) -> Board:
    """The board of a manifest that stood the test."""
    with progress(output) as shown:
        check = check_board(path, progress=shown)
    if check.problems or check.board is None:
        raise ProblemListError(
            "the board manifest is wrong", list(check.problems), "docs/adding-a-board.md: the recipe"
        )
    return check.board
