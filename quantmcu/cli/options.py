"""Options that several commands take."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

FOLDER = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
MODEL = click.argument("model", type=click.Path(path_type=Path))
PORT = click.option("--port", metavar="P", help="Serial port of the board; default: found by its USB identity.")
PREPROCESS = click.option(
    "--preprocess", metavar="NAME|FILE.toml", help="For images: resize, crop, mean, std, colour order."
)
TOOLCHAIN = click.option(
    "--toolchain", default="auto", show_default=True, help="gcc, zig, registry (PlatformIO's own), or a path."
)


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
