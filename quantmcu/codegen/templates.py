"""The Jinja environment of generated C and of project files."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment

from quantmcu.templates import template_environment


@cache
def environment() -> Environment:
    """Templates with what C needs; nothing is escaped by itself."""
    templates = template_environment(autoescape=False)
    templates.filters["c_string"] = c_string
    templates.filters["c_comment"] = c_comment
    return templates


def c_string(text: str) -> str:
    """`text` as the inside of a C string literal; UTF-8 bytes that are not printable ASCII become octal escapes."""
    escapes = {'"': '\\"', "\\": "\\\\", "?": "\\?"}  # "\?" keeps trigraphs away
    printable = (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}" for byte in text.encode())
    return "".join(escapes.get(character, character) for character in printable)


def c_comment(text: str) -> str:
    """`text` such that it can't end or nest a C comment, whatever the model's names are."""
    return text.replace("*/", "* /").replace("/*", "/ *").replace("\n", " ")
