"""quantmcu validate"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import quantmcu
from quantmcu.cli.command import command, progress
from quantmcu.cli.options import FOLDER, PORT, PREPROCESS
from quantmcu.cli.output import Output
from quantmcu.report.tables import accuracy


@command
@FOLDER
@click.option("--data", required=True, metavar="PATH", help=".npz (x, y), .npy, folder of images; or `random`.")
@click.option(
    "--on",
    type=click.Choice(["host", "emulator", "qemu", "device", "reference"]),
    default="host",
    show_default=True,
    help="What runs the network.",
)
@PORT
@PREPROCESS
@click.option("--limit", type=click.IntRange(min=1), help="At most so many samples, spread over the data.")
@click.option(
    "--reference-limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Compare at most so many of them with the reference.",
)
def validate_command(output: Output, folder: Path, **options: Any) -> None:
    """Check the network in DIR: bit-exactness and accuracy.

    Its outputs are compared with the bit-exact reference, and with the float model in ONNX Runtime.
    """
    with progress(output) as shown:
        result = quantmcu.validate(folder, progress=shown, **options)
    output.show(result.data, accuracy(result.data))
