"""Live bytes over the steps of one inference, stacked by memory region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 800, 220
"""Of the chart, in user units of SVG."""


@dataclass(frozen=True)
class TimelinePart:
    """What a step uses of one region; `region` is an index into `Timeline.regions`."""

    region: int
    y: float
    height: float


@dataclass(frozen=True)
class TimelineBar:
    """One step.

    Attributes:
        x, width: its place in the chart.
        nbytes: live in all regions.
        label: what a reader sees who points at it.
        parts: from the lowest region upwards.
    """

    x: float
    width: float
    step: str
    nbytes: int
    label: str
    parts: list[TimelinePart]


@dataclass(frozen=True)
class Timeline:
    """Live bytes by step.

    Attributes:
        regions: names, in the order of stacking.
        peak: index of the highest bar.
        peak_bytes: its bytes.
        peak_x, peak_y: the middle of its upper edge.
        ticks: y and bytes of the grid lines.
    """

    regions: list[str]
    bars: list[TimelineBar]
    peak: int
    peak_bytes: int
    peak_x: float
    peak_y: float
    ticks: list[tuple[float, int]]


def timeline(memory: dict[str, Any], most: int | None = None) -> Timeline:
    """The chart of live bytes.

    Args:
        memory: of result.json.
        most: bytes of the highest bar that the chart has to have room for, where several are drawn alike.
    """
    steps = memory["timeline"]
    regions = list(memory["arena_by_region"])
    values = [step["live_bytes"] for step in steps]
    peak_bytes = max(values, default=0)
    most = max(most or 0, peak_bytes) or 1
    scale = HEIGHT / (most * 1.08)
    width = WIDTH / max(1, len(values))
    bars = [_bar(step, index * width, width, scale, regions) for index, step in enumerate(steps)]
    peak = values.index(peak_bytes) if values else 0
    ticks = [(HEIGHT - value * scale, value) for value in range(0, int(most * 1.08) + 1, _tick_unit(most))]
    return Timeline(regions, bars, peak, peak_bytes, (peak + 0.5) * width, HEIGHT - peak_bytes * scale, ticks)


def _bar(step: dict[str, Any], x: float, width: float, scale: float, regions: list[str]) -> TimelineBar:
    total = step["live_bytes"]
    used = step["by_region"]
    parts, y = [], float(HEIGHT)
    for index, region in enumerate(regions):
        height = used[region] * scale
        if height:
            y -= height
            parts.append(TimelinePart(index, y, height))
    split = ", ".join(f"{nbytes:,} in {region}" for region, nbytes in used.items() if nbytes)
    label = f"{step['step']}: {total:,} bytes" + (f" ({split})" if len(regions) > 1 and split else "")
    return TimelineBar(x, width, step["step"], total, label, parts)


def _tick_unit(most: int) -> int:
    """A power of two that gives three to six grid lines."""
    unit = 1
    while most / unit > 5:
        unit *= 2
    return unit
