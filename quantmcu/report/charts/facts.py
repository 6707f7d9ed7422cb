"""Every figure of a result with its path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def flattened(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every figure with its path; long lists of objects, which have charts of their own, are left out."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flattened(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        if len(value) <= 4:
            for index, item in enumerate(value):
                yield from flattened(item, f"{path}[{index}]")
    elif isinstance(value, list):
        yield path, " ".join(str(item) for item in value)
    else:
        yield path, "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
