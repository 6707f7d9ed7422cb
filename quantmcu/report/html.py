"""report.html: one page that explains a result to a colleague, drawn from its folder alone."""

from __future__ import annotations

import base64
from typing import Any

from quantmcu.atomic import write_text
from quantmcu.report import charts
from quantmcu.report.templates import environment
from quantmcu.report.verdict import verdict
from quantmcu.results import Result

FILE = "report.html"


def write_report(result: Result) -> None:
    """Writes report.html into the result's folder, whole or not at all.

    Raises:
        ToolError: the folder can't be written, or the disk is full.
    """
    write_text(result.folder / FILE, page_of(result))


def page_of(result: Result) -> str:
    """The page of a result, with its calibration image where that lies in its folder."""
    return render_report(result.data, _picture(result))


def render_report(result: dict[str, Any], picture: bytes | None = None) -> str:
    """The page of a result.json's content; `picture` is its calibration image, as JPEG."""
    return render(
        "result",
        result=result,
        verdict=verdict(result),
        layers=charts.layers(result),
        measured=charts.cycles_are_measured(result),
        stages=charts.stages(result),
        bit_rows=charts.bit_rows(result),
        operations=charts.operations(result),
        timeline=charts.timeline(result["memory"]),
        regions=charts.regions(result["memory"]),
        flash=charts.flash_parts(result),
        facts=list(charts.flattened(result)),
        picture=None if picture is None else f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}",
    )


def render(name: str, **values: Any) -> str:
    """The page templates/report/`name`.html.j2."""
    return environment().get_template(f"report/{name}.html.j2").render(**values)


def _picture(result: Result) -> bytes | None:
    """The calibration image, where there is one and it still lies in the folder."""
    name = result.data["calibration"]["image"]
    path = result.folder / name if name else None
    return path.read_bytes() if path is not None and path.is_file() else None
