"""quantmcu compile"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import quantmcu
from quantmcu.build.harness import HARNESSES
from quantmcu.cli.command import command, progress
from quantmcu.cli.options import MODEL, PREPROCESS, TOOLCHAIN, Bytes, bits_options, patch_options
from quantmcu.cli.output import Output
from quantmcu.codegen.optimize import OPTIMIZE
from quantmcu.errors import UsageError
from quantmcu.report.tables import next_steps, summary
from quantmcu.report.vdpc_table import vdpc_tables


@command
@MODEL
@click.option("--board", required=True, help="Id of a board (`quantmcu boards`), or a manifest NAME.json.")
@click.option("--calib", metavar="PATH", help="Typical inputs: .npz (x), .npy, folder of images; or `random`.")
@click.option("--calib-limit", type=click.IntRange(min=1), default=200, show_default=True, help="Read at most so many.")
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path), help="Default: MODEL-BOARD in this folder.")
@PREPROCESS
@patch_options
@bits_options
@click.option(
    "--optimize",
    type=click.Choice(OPTIMIZE),
    default="balanced",
    show_default=True,
    help="Fewest cycles, or least flash.",
)
@click.option("--flash-size", type=Bytes(), help="Flash budget in place of the board's, e.g. 1M.")
@click.option("--no-build", is_flag=True, help="Stop after the C project is written; it may exceed the board.")
@TOOLCHAIN
@click.option(
    "--harness",
    type=click.Choice(HARNESSES),
    default=HARNESSES[0],
    show_default=True,
    help="Main program; eembc: for the MLPerf Tiny runner.",
)
@click.option("--flash", is_flag=True, help="Upload to the connected board afterwards.")
def compile_command(
    output: Output,
    model: Path,
    board: str,
    calib: str | None,
    calib_limit: int,
    no_build: bool,
    flash: bool,
    **options: Any,
) -> None:
    """Compile MODEL to firmware for a board.

    MODEL is an ONNX file, or with the extra `tensorflow` a .tflite or .keras file. DIR gets the PlatformIO project,
    firmware.elf, quantized.onnx, result.json and report.html.
    """
    if flash and no_build:
        raise UsageError("--flash and --no-build exclude each other", hint="there would be nothing to upload")
    with progress(output) as shown:
        result = quantmcu.compile(
            model,
            board,
            calibration=calib,
            calibration_limit=calib_limit,
            build=not no_build,
            progress=shown,
            **options,
        )
        if flash:
            quantmcu.flash(result, progress=shown)
    output.show(result.data, summary(result.data), *vdpc_tables(result.data), next_steps(result))
