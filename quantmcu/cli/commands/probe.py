"""quantmcu probe"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from quantmcu.cli.command import command, progress
from quantmcu.cli.options import PORT, TOOLCHAIN
from quantmcu.cli.output import Output
from quantmcu.probe import probe_board
from quantmcu.targets import load_board


@command
@click.option("--board", required=True, metavar="ID|FILE.json", help="`quantmcu boards` lists them.")
@click.option(
    "--on",
    type=click.Choice(["device", "emulator"]),
    default="device",
    show_default=True,
    help="Where; the emulator finds what the manifest says.",
)
@PORT
@TOOLCHAIN
def probe_command(output: Output, board: str, on: str, port: str | None, toolchain: str) -> None:
    """Flash and run a test that tells how many cycles SMLAL takes on a board with Cortex-M7."""
    target = load_board(board)
    with progress(output) as shown, tempfile.TemporaryDirectory(prefix="quantmcu-probe-") as folder:
        found = probe_board(target, Path(folder), on=on, port=port, toolchain=toolchain, progress=shown)
    expected = ", ".join(f"{ratio:.2f} for {count}" for count, ratio in found.expected.items())
    output.show(
        {"board": target.id, **asdict(found)},
        f"SMLAL takes {found.cycles} cycle{'s' if found.cycles > 1 else ''} on {target.name} ({found.runner})",
        f"measured ratio of the layers {found.ratio:.2f}; expected {expected}",
        f'the manifest says so by "cycle_model": {{"parameters": {{"long_multiply_cycles": {found.cycles}}}}}',
    )
