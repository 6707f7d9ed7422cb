"""quantmcu demo"""

from __future__ import annotations

from pathlib import Path

import click

import quantmcu
from quantmcu.cli.command import command, progress
from quantmcu.cli.options import TOOLCHAIN
from quantmcu.cli.output import Output
from quantmcu.demonstration import DemoImage
from quantmcu.report.tables import accuracy, latency_summary, layers, next_steps, recognised, summary


@command
@click.option(
    "--out", metavar="DIR", type=click.Path(path_type=Path), default="quantmcu-demo", show_default=True, help="Result."
)
@TOOLCHAIN
def demo_command(output: Output, out: Path, toolchain: str) -> None:
    """Compile a trained network and run it on photographs.

    Network and photographs come along; the firmware runs in the emulator.
    """
    images: list[DemoImage] = []
    with progress(output) as shown:
        result = quantmcu.demo(out, toolchain=toolchain, progress=shown, on_image=images.append)
    output.show(
        result.data,
        layers(result.data),
        recognised(images),
        summary(result.data),
        latency_summary(result.data),
        accuracy(result.data),
        next_steps(result, ("quantmcu compile MODEL.onnx --board BOARD --calib PATH", "a network of yours")),
    )
