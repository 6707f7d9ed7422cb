"""Options that several commands take."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from quantmcu.patch.request import OBJECTIVES
from quantmcu.patch.search import HALO_MODES
from quantmcu.quant.vdpc import DEFAULT_PHI
from quantmcu.quant.vdqs import DEFAULT_LAMBDA
from quantmcu.vdpc import MODES

FOLDER = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
MODEL = click.argument("model", type=click.Path(path_type=Path))
PORT = click.option("--port", metavar="P", help="Serial port of the board; default: found by its USB identity.")
PREPROCESS = click.option(
    "--preprocess", metavar="NAME|FILE.toml", help="For images: resize, crop, mean, std, colour order."
)
TOOLCHAIN = click.option(
    "--toolchain", default="auto", show_default=True, help="gcc, zig, registry (PlatformIO's own), or a path."
)


def patch_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of patch stages."""
    options = (
        click.option(
            "--patch",
            default="auto",
            show_default=True,
            metavar="auto|off|RxC",
            help="Patches: chosen, none, or forced.",
        ),
        click.option("--split-at", metavar="NODE", help="The only patch stage ends after this node."),
        click.option(
            "--halo", type=click.Choice(HALO_MODES), help="What several patches need: kept or computed again."
        ),
        click.option(
            "--objective",
            type=click.Choice(OBJECTIVES),
            help="latency: bits save predicted cycles; ram: plan of least RAM.  [default: the fastest plan, BitOPs]",
        ),
        click.option(
            "--input-on-demand", is_flag=True, help="The firmware asks for parts of the input: no buffer for it."
        ),
        click.option("--ram", type=Bytes(), help="RAM budget in place of the board's, e.g. 128k."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def reconstruct_option(default: str) -> Callable[..., Any]:
    """--reconstruct."""
    return click.option(
        "--reconstruct",
        default=default,
        show_default=True,
        metavar="auto|off|PASSES",
        help="Train integer weights and biases for the bits chosen, without labels; auto: below 8 bits, for minutes.",
    )


def bits_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of bitwidths."""

    def choice(name: str, values: tuple[str, ...], text: str) -> Callable[..., Any]:
        return click.option(name, type=click.Choice(values), default=values[0], show_default=True, help=text)

    options = (
        click.option(
            "--bits",
            default="auto",
            show_default=True,
            metavar="auto|8|mixed|LIST",
            help="Of feature maps; auto: 8, some 4 if the RAM asks for it; mixed: each 8 or 4, by VDQS; or e.g. 8,4,2.",
        ),
        choice("--weight-bits", ("auto", "8", "4", "2"), "auto: 8 where the flash allows, else some layers 4 or 2."),
        click.option(
            "--lam",
            type=click.FloatRange(0, 1),
            default=DEFAULT_LAMBDA,
            show_default=True,
            help="VDQS: information against cost.",
        ),
        choice(
            "--information", ("measured", "sqnr", "entropy"), "VDQS: what counts as information; the paper's: entropy."
        ),
        click.option(
            "--bitops-reduction",
            type=click.FloatRange(1, 16),
            metavar="X",
            help="With mixed bits: X times fewer BitOPs by weights and maps; for latency, as far as cycles fall.",
        ),
        reconstruct_option("auto"),
        click.option(
            "--max-accuracy-drop",
            type=click.FloatRange(0, 100),
            metavar="POINTS",
            help="With mixed bits: the fewest BitOPs (for latency: cycles) that lose no more, on a third of --calib.",
        ),
        choice("--vdpc", MODES, "With mixed bits, patches with outliers keep 8 bits: by their codes or positions."),
        click.option(
            "--phi", type=float, default=DEFAULT_PHI, show_default=True, help="VDPC: central mass that is no outlier."
        ),
        click.option(
            "--outlier-fraction",
            type=float,
            default=0.0,
            show_default=True,
            help="VDPC: a patch with a larger share of outliers keeps 8 bits.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def picture_option(drawn: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option that asks for a picture; `drawn` is what it shows."""
    return click.option("--picture", metavar="FILE.svg", type=_Picture(), help=f"Also draw {drawn}.")


class _Picture(click.ParamType[Path]):
    """The path of an SVG file that can be made, before the work of hours."""

    name = "picture"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """See click."""
        path = Path(value)
        if path.suffix.lower() != ".svg":
            self.fail(f"{str(value)!r}: pictures are SVG; give a name that ends in .svg", param, ctx)
        if not path.absolute().parent.is_dir():
            self.fail(f"{str(path.parent)!r}: there is no such folder", param, ctx)
        return path


class Bytes(click.ParamType[int]):
    """A size: `131072`, `128k` or `128KiB`, `1.5M`; units are powers of 1024."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See click."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKmM]?)(?:i?B)?", str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no size; write 131072, 128k or 1.5M", param, ctx)
        return int(float(match[1]) * {"": 1, "k": 1024, "m": 1024**2}[match[2].lower()])
