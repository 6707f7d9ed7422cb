"""The pages whose pictures are kept in golden/, and the command that draws these anew:

    python -m tests.report.golden_pages

The data are those of a real result with the classes of patches that VDPC would add: the demo's network, compiled with
`--bits mixed --patch 3x3 --halo recompute`, measured and validated. Text is set in a font of equal boxes
(golden/make_font.py), so that pages look alike on all machines.
"""

from __future__ import annotations

import base64
import copy
import json
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from quantmcu.report import render_comparison, render_report
from tests.report.chromium import find_chromium, screenshot

GOLDEN = Path(__file__).with_name("golden")
SHRUNK = 4
"""The stored pictures are so many times smaller, in both directions."""
PICTURES = (
    ("result", 1280, False),
    ("result", 400, True),
    ("comparison", 1280, True),
    ("comparison", 400, False),
)
"""Page, width, dark."""


def stored_result() -> dict[str, Any]:
    """The result, as it was written."""
    return dict(json.loads((GOLDEN / "result.json").read_text()))


def result_with_classes() -> dict[str, Any]:
    """The result with an outlier and a narrow class of patches."""
    data = stored_result()
    plan = data["plan"]
    for branch in plan["branches"]:
        branch["class"], branch["share"] = "outlier", 0.25 * ((branch["row"] + 2 * branch["column"]) % 5)
    narrow = [
        branch | {"class": "narrow", "share": 1 - branch["share"], "bits": dict.fromkeys(branch["bits"], 4)}
        for branch in plan["branches"]
    ]
    plan["branches"] += narrow
    comparison = [
        {"patches": patches, "share": share, "samples": 100, "agreement": 0.9, "sqnr_db": 20.5}
        for patches, share in (("all", 1.0), ("vdpc", 0.44), ("random", 0.44), ("none", 0.0))
    ]
    plan["vdpc"] = {
        "mode": "dynamic", "tensor": "image", "low": 12, "high": 240, "fraction": 0.1, "mean": 0.0, "deviation": 1.0,
        "cells": 9, "outlier_cells": 4.0, "comparison": comparison,
    }  # fmt: skip
    return data


def faster_result() -> dict[str, Any]:
    """The result where some layers are faster and others are missing."""
    data = copy.deepcopy(stored_result())
    del data["steps"][4], data["latency"]["by_layer"][4]
    for index, row in enumerate(data["latency"]["by_layer"]):
        row["cycles"] = row["cycles"] * (index % 5 + 1) // 4
    data["latency"]["cycles"] = sum(row["cycles"] for row in data["latency"]["by_layer"])
    data["plan"]["stages"] = data["plan"]["branches"] = []
    return data


def page(name: str) -> str:
    """HTML of a page, with its own font."""
    if name == "result":
        html = render_report(result_with_classes(), (GOLDEN / "calibration.jpg").read_bytes())
    else:
        html = render_comparison(stored_result(), faster_result(), ("A", "B"))
    font = base64.b64encode((GOLDEN / "boxes.ttf").read_bytes()).decode()
    source = f"src: url(data:font/ttf;base64,{font})"
    style = f"@font-face {{ font-family: Boxes; {source} }} * {{ font-family: Boxes !important }}"
    return html.replace("</style>", f"{style}</style>", 1)


def picture(chromium: str, name: str, width: int, dark: bool) -> Image.Image:
    """A page as it is stored: made smaller by averaging."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.html"
        file.write_text(page(name))
        return screenshot(chromium, file, width, dark=dark).reduce(SHRUNK)


def golden_file(name: str, width: int, dark: bool) -> Path:
    """Where its picture lies."""
    return GOLDEN / f"{name}-{width}-{'dark' if dark else 'light'}.png"


def main() -> None:
    """Draws all pictures anew."""
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("no chromium here: apt-get install chromium")
    for name, width, dark in PICTURES:
        file = golden_file(name, width, dark)
        picture(chromium, name, width, dark).quantize(64, dither=Image.Dither.NONE).save(file, optimize=True)
        print(file, file.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
