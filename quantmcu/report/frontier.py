"""The frontier of `quantmcu plan`: RAM against MACs and predicted latency, as a table and as a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from quantmcu.report.picture import render_picture
from quantmcu.report.tables import facts_table, plain_table
from quantmcu.report.text import count, milliseconds, size

WIDTH, HEIGHT = 720, 360
"""Of the plot in SVG user units."""


def frontier_table(frontier: dict[str, Any]) -> Table:
    """One line a plan, the fastest first; `*` marks the one that `compile` takes."""
    table = plain_table("", ">RAM", ">no input", ">MACs", ">latency", "patches")
    for index, plan in enumerate(frontier["frontier"]):
        table.add_row(
            "*" if index == frontier["chosen"] else "",
            size(plan["arena_bytes"]),
            size(plan["arena_bytes_without_input"]),
            f"x{plan['mac_factor']:.3f}",
            milliseconds(plan["cycles"] / frontier["clock_hz"] * 1e3),
            stages_text(plan),
        )
    return table


def frontier_summary(frontier: dict[str, Any]) -> RenderableType:
    """What the table means."""
    room = f"{size(frontier['arena_capacity_bytes'])} for feature maps on {frontier['board']}"
    if frontier["chosen"] is None:
        smallest = frontier["frontier"][-1]
        peak = smallest["peak_step"]
        verdict = f"none fits with 8-bit maps: the smallest needs {size(smallest['arena_bytes'])}, set by {peak}"
    else:
        verdict = f"`compile` takes the line marked *: {count(frontier['frontier'][frontier['chosen']]['macs'])} MACs"
    facts = [("room", room), ("chosen", verdict), ("latency", "predicted from the kernels' cost models, core only")]
    return facts_table(facts)


def stages_text(plan: dict[str, Any]) -> str:
    """`5x1 to conv_9, 3x1 to conv_20 (cache)`; the end of long names."""
    if not plan["stages"]:
        return "none: layer by layer"
    modes = {stage["halo_mode"] for stage in plan["stages"]}
    parts = []
    for stage in plan["stages"]:
        mode = f" ({stage['halo_mode']})" if len(modes) > 1 else ""
        parts.append(f"{stage['grid'][0]}x{stage['grid'][1]} to {_short(stage['split_at'])}{mode}")
    return ", ".join(parts) + (f" ({modes.pop()})" if len(modes) == 1 else "")


def _short(name: str) -> str:
    """The last two parts of a path."""
    return "/".join(name.strip("/").split("/")[-2:])


@dataclass(frozen=True)
class Dot:
    """A plan in the picture: RAM to the right, MACs and latency upwards (relative to layer by layer)."""

    x: float
    macs_y: float
    cycles_y: float
    label: str
    chosen: bool


@dataclass(frozen=True)
class Picture:
    """Geometry of the picture; the template only draws it.

    Attributes:
        x_ticks: x and bytes; y_ticks: y and factor.
        limit_x: where the board's RAM ends, None outside of the plot.
    """

    dots: tuple[Dot, ...]
    x_ticks: tuple[tuple[float, int], ...]
    y_ticks: tuple[tuple[float, float], ...]
    limit_x: float | None


def picture_of(frontier: dict[str, Any]) -> Picture:
    """Places the plans; RAM on a logarithmic axis."""
    plans = frontier["frontier"]
    low, high = (math.log2(f(plan["arena_bytes"] for plan in plans)) for f in (min, max))
    low, high = low - 0.15, high + 0.15
    top = max(max(plan["mac_factor"], plan["cycle_factor"]) for plan in plans)
    top = max(1.1, 1 + (top - 1) * 1.1)

    def x_of(nbytes: float) -> float:
        return float(round((math.log2(nbytes) - low) / (high - low) * WIDTH, 1))

    def y_of(factor: float) -> float:
        return float(round(HEIGHT * (1 - (factor - 1) / (top - 1)), 1))

    dots = tuple(
        Dot(
            x_of(plan["arena_bytes"]),
            y_of(plan["mac_factor"]),
            y_of(plan["cycle_factor"]),
            f"{size(plan['arena_bytes'])}, MACs x{plan['mac_factor']:.3f}, cycles x{plan['cycle_factor']:.3f}: "
            f"{stages_text(plan)}",
            index == frontier["chosen"],
        )
        for index, plan in enumerate(plans)
    )
    powers = range(math.ceil(low), math.floor(high) + 1)
    step = next(s for s in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 100) if (top - 1) / s <= 6)
    marks = [1 + step * index for index in range(int((top - 1) / step) + 1)]
    limit = frontier["arena_capacity_bytes"]
    inside = low < math.log2(limit) < high if limit else False
    return Picture(
        dots,
        tuple((x_of(2**power), 2**power) for power in powers),
        tuple((y_of(mark), mark) for mark in marks),
        x_of(limit) if inside else None,
    )


def render_frontier(frontier: dict[str, Any]) -> str:
    """The picture as SVG text, which can also stand within HTML."""
    picture = picture_of(frontier)
    return render_picture("frontier.svg.j2", frontier=frontier, picture=picture, width=WIDTH, height=HEIGHT)
