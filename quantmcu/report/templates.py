"""The Jinja environment of report pages and pictures."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment
from markupsafe import Markup

from quantmcu.report import text
from quantmcu.report.charts.patches import Box
from quantmcu.templates import template_environment

_TEXT = ("size", "count", "milliseconds", "percent", "shape", "conditions", "sentence", "figure")


@cache
def environment() -> Environment:
    """Templates of pages and pictures, with how they write figures."""
    templates = template_environment(autoescape=True)
    templates.filters |= {name: getattr(text, name) for name in _TEXT}
    templates.filters |= {
        "thousands": "{:,}".format,
        "breakable": _breakable,
        "place": _place,
        "outline": _outline,
    }
    return templates


def _breakable(name: str) -> Markup:
    """A layer's name that lines may break behind its slashes."""
    return Markup("/<wbr>").join(name.split("/"))


def _place(box: Box) -> Markup:
    """Attributes of a rectangle."""
    return Markup(f'x="{box.x:.4g}" y="{box.y:.4g}" width="{box.width:.4g}" height="{box.height:.4g}"')


def _outline(box: Box) -> str:
    """The same as a part of a path."""
    return f"M{box.x:.4g} {box.y:.4g}h{box.width:.4g}v{box.height:.4g}h{-box.width:.4g}z"
