"""Two results side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_FIGURES = (
    ("latency, ms", ("latency", "ms"), True),
    ("cycles", ("latency", "cycles"), True),
    ("RAM, bytes", ("memory", "ram_total_bytes"), True),
    ("arena, bytes", ("memory", "arena_bytes"), True),
    ("flash, bytes", ("memory", "flash_total_bytes"), True),
    ("weights, bytes", ("memory", "weights_bytes"), True),
    ("code, bytes", ("memory", "code_bytes"), True),
    ("MACs", ("model", "macs"), True),
    ("BitOPs", ("bitops", "total"), True),
    ("parameters", ("model", "parameters"), True),
    ("accuracy, float", ("accuracy", "float"), False),
    ("accuracy, quantized", ("accuracy", "quantized"), False),
    ("agreement with float", ("accuracy", "agreement"), False),
    ("compile time, s", ("compile", "seconds"), True),
)


@dataclass(frozen=True)
class ComparedFigure:
    """One figure of both results.

    Attributes:
        left, right: None where it is not known.
        ratio: right / left, for amounts; None for shares and where one is unknown or 0.
    """

    name: str
    left: float | None
    right: float | None
    ratio: float | None


def compare_results(left: dict[str, Any], right: dict[str, Any]) -> list[ComparedFigure]:
    """The figures that at least one of two result.json contents has."""
    rows = []
    for name, (section, key), is_amount in _FIGURES:
        a, b = (result.get(section, {}).get(key) for result in (left, right))
        if a is not None or b is not None:
            rows.append(ComparedFigure(name, a, b, b / a if is_amount and a and b is not None else None))
    return rows
