"""Stacked bars of memory: each RAM region, and the flash by part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Part:
    """A part of a bar: x and width in percent."""

    label: str
    nbytes: int
    x: float
    width: float


@dataclass(frozen=True)
class Bar:
    """A stacked bar, `capacity` wide."""

    label: str
    nbytes: int
    capacity: int
    parts: list[Part]


def regions(memory: dict[str, Any]) -> list[Bar]:
    """Use of each RAM region that arenas may lie in."""
    capacities = memory.get("arena_capacity_by_region", {})
    used = memory.get("arena_by_region", {})
    return [_bar(name, capacity, [("arena", used.get(name, 0))]) for name, capacity in capacities.items()]


def flash_parts(result: dict[str, Any]) -> Bar:
    """Flash by part."""
    memory = result["memory"]
    capacity = result["board"]["flash_bytes"]
    if memory["flash_total_bytes"] is None:
        return _bar("flash", capacity, [("weights", memory["weights_bytes"])])
    network = memory["network_code_bytes"]
    constants = memory["constants_bytes"] - memory["weights_bytes"]
    rest = memory["flash_total_bytes"] - memory["constants_bytes"] - memory["code_bytes"]
    parts = [
        ("weights", memory["weights_bytes"]),
        ("network code", network),
        ("harness, start-up, libraries", memory["code_bytes"] - network),
        ("other constants", constants),
        ("initialised variables", rest),
    ]
    return _bar("flash", capacity, [(label, nbytes) for label, nbytes in parts if nbytes > 0])


def _bar(label: str, capacity: int, sizes: list[tuple[str, int]]) -> Bar:
    parts, x = [], 0.0
    scale = 100 / max(capacity, sum(nbytes for _, nbytes in sizes), 1)
    for name, nbytes in sizes:
        parts.append(Part(name, nbytes, x, nbytes * scale))
        x += nbytes * scale
    return Bar(label, sum(nbytes for _, nbytes in sizes), capacity, parts)
