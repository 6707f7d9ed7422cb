"""report.html: one page that explains a result to a colleague, drawn from result.json alone."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from quantmcu.atomic import replacing_file
from quantmcu.errors import ToolError
from quantmcu.report import charts, text
from quantmcu.report.verdict import verdict
from quantmcu.resources import data_folder
from quantmcu.results import Result

FILE = "report.html"
_TEXT = ("size", "count", "milliseconds", "frequency", "percent", "shape", "conditions", "expectation")


def write_report(result: Result) -> None:
    """Writes report.html into the result's folder, whole or not at all.

    Raises:
        ToolError: the folder can't be written, or the disk is full.
    """
    path = result.folder / FILE
    page = render_report(result.data)
    try:
        with replacing_file(path) as file:
            file.write(page.encode())
    except OSError as error:
        hint = "free some space, or make the folder writable"
        raise ToolError(f"cannot write {FILE}", str(path), error.strerror or str(error), hint) from error


def render_report(result: dict[str, Any]) -> str:
    """The page of a result.json's content."""
    template = _environment().get_template("report.html.j2")
    return template.render(
        result=result,
        verdict=verdict(result),
        layers=charts.layers(result),
        stages=charts.stages(result),
        timeline=charts.timeline(result["memory"]),
        regions=charts.regions(result["memory"]),
        flash=charts.flash_parts(result),
        facts=list(charts.flattened(result)),
    )


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
    environment.filters |= {"thousands": "{:,}".format, "breakable": _breakable}
    return environment


def _breakable(name: str) -> Markup:
    """A layer's name that lines may break behind its slashes."""
    return Markup("/<wbr>").join(name.split("/"))
