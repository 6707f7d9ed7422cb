"""Bits of every feature map, in each branch, and of the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 800, 32
"""Of a row of the chart, in user units of SVG."""


@dataclass(frozen=True)
class BitsBar:
    """Bits of one map or of one layer's weights.

    Attributes:
        x, y, width: its place in the row; it reaches down to HEIGHT, and is as high as it has bits.
        label: what a reader sees who points at it.
    """

    x: float
    y: float
    width: float
    bits: int
    label: str


@dataclass(frozen=True)
class BitsRow:
    """All maps of one branch, in the order of execution; what the branch does not run is left out."""

    label: str
    bars: list[BitsBar]

    @property
    def counts(self) -> dict[int, int]:
        """How many have 8, 4, 2 bits."""
        present = sorted({bar.bits for bar in self.bars}, reverse=True)
        return {bits: sum(bar.bits == bits for bar in self.bars) for bits in present}


def bit_rows(result: dict[str, Any]) -> list[BitsRow]:
    """The rows: maps outside of branches, maps of each class of patches, weights; none where all have 8 bits."""
    steps = result["steps"]
    branches = result["plan"]["branches"]
    classes = sorted({branch["class"] for branch in branches} - {"all"}, reverse=True)
    inside = {name for branch in branches for name in branch["bits"]} if classes else set()
    outside = {i: step["output_bits"] for i, step in enumerate(steps) if step["output"] not in inside}
    rows = [_row("feature maps", outside, steps)]
    for kind in classes:
        bits = {name: count for branch in branches if branch["class"] == kind for name, count in branch["bits"].items()}
        found = {i: bits[step["output"]] for i, step in enumerate(steps) if step["output"] in bits}
        rows.append(_row(f"maps of {kind} patches", found, steps))
    weights = {i: step["weight_bits"] for i, step in enumerate(steps) if step["weight_bits"]}
    rows.append(_row("weights", weights, steps))
    return rows if any(bar.bits < 8 for row in rows for bar in row.bars) else []


def _row(label: str, bits: dict[int, int], steps: list[dict[str, Any]]) -> BitsRow:
    """`bits` by index of the step."""
    width = WIDTH / max(1, len(steps))
    bars = []
    for index, count in bits.items():
        y = HEIGHT * (1 - min(count, 8) / 8)
        bars.append(BitsBar(index * width, y, width * 0.92, count, f"{steps[index]['name']}: {count} bits"))
    return BitsRow(label, bars)
