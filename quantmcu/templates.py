"""The Jinja environment of the folder templates/, for C, project files, pages and pictures."""

from __future__ import annotations

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from quantmcu.resources import data_folder


def template_environment(*, autoescape: bool) -> Environment:
    """Templates of the folder templates/; an undefined name is an error. `autoescape`: for HTML and SVG."""
    return Environment(
        loader=FileSystemLoader(data_folder("templates")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=autoescape,
    )
