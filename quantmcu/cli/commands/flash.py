"""quantmcu flash"""

from __future__ import annotations

from pathlib import Path

import click

import quantmcu
from quantmcu.cli.command import command, progress
from quantmcu.cli.options import FOLDER
from quantmcu.cli.output import Output


@command
@FOLDER
@click.option("--protocol", help="One of the board's upload protocols; default: the first.")
@click.option("--port", metavar="P", help="Serial port or disk, for protocols that use one.")
def flash_command(output: Output, folder: Path, protocol: str | None, port: str | None) -> None:
    """Upload the firmware in DIR to its board."""
    with progress(output) as shown:
        quantmcu.flash(folder, protocol=protocol, port=port, progress=shown)
    board = quantmcu.Result.load(folder).board_id
    document = {"flashed": str(folder), "board": board}
    output.show(document, f"{folder} is on the {board}; try: quantmcu measure {folder} --on device")
