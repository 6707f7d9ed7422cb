"""quantmcu measure"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import quantmcu
from quantmcu.cli.command import command, progress
from quantmcu.cli.options import FOLDER, PORT, PREPROCESS
from quantmcu.cli.output import Output
from quantmcu.report.tables import latency_summary, layers


@command
@FOLDER
@click.option(
    "--on",
    type=click.Choice(["emulator", "device", "qemu"]),
    default="emulator",
    show_default=True,
    help="Where; the emulator estimates the core's cycles, QEMU can't time.",
)
@PORT
@click.option("--runs", type=click.IntRange(min=1), default=10, show_default=True, help="How many.")
@click.option("--profile/--no-profile", default=True, show_default=True, help="Time each step too.")
@click.option("--memory-model", is_flag=True, help="Emulator: model the board's wait states and caches too.")
@click.option("--data", metavar="PATH", help="Inputs, another sample for each run; default: random codes.")
@PREPROCESS
def measure_command(output: Output, folder: Path, profile: bool, **options: Any) -> None:
    """Time the firmware in DIR, in all and by layer."""
    with progress(output) as shown:
        result = quantmcu.measure(folder, profile=profile, progress=shown, **options)
    tables = [layers(result.data)] if profile else []
    output.show(result.data, *tables, latency_summary(result.data))
