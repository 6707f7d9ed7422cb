"""report.html: one page that explains a result to a colleague, drawn from its folder alone."""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from quantmcu.atomic import write_text
from quantmcu.report import charts, text
from quantmcu.report.charts.patches import Box
from quantmcu.report.verdict import verdict
from quantmcu.resources import data_folder
from quantmcu.results import Result

FILE = "report.html"
_TEXT = ("size", "count", "milliseconds", "percent", "shape", "conditions", "sentence", "figure")


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
    return _environment().get_template(f"report/{name}.html.j2").render(**values)


def _picture(result: Result) -> bytes | None:
    """The calibration image, where there is one and it still lies in the folder."""
    name = result.data["calibration"]["image"]
    path = result.folder / name if name else None
    return path.read_bytes() if path is not None and path.is_file() else None


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(data_folder("templates")),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {name: getattr(text, name) for name in _TEXT}
    environment.filters |= {
        "thousands": "{:,}".format,
        "breakable": _breakable,
        "place": _place,
        "outline": _outline,
    }
    return environment


def _breakable(name: str) -> Markup:
    """A layer's name that lines may break behind its slashes."""
    return Markup("/<wbr>").join(name.split("/"))


def _place(box: Box) -> Markup:
    """Attributes of a rectangle."""
    return Markup(f'x="{box.x:.4g}" y="{box.y:.4g}" width="{box.width:.4g}" height="{box.height:.4g}"')


def _outline(box: Box) -> str:
    """The same as a part of a path."""
    return f"M{box.x:.4g} {box.y:.4g}h{box.width:.4g}v{box.height:.4g}h{-box.width:.4g}z"
