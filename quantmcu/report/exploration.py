"""What `quantmcu explore` found: bits against BitOPs, predicted latency and accuracy, as a table and as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from quantmcu.report.picture import render_picture, round_marks
from quantmcu.report.tables import facts_table, plain_table
from quantmcu.report.text import count, figure, milliseconds, percent, size

WIDTH, HEIGHT, GAP = 400, 340, 70
"""Of a panel, and between both, in SVG user units."""

FAMILIES = {
    "8 bits": "8 bits",
    "weights": "weights alone",
    "vdqs": "VDQS, by lambda",
    "together": "together, x fewer BitOPs",
    "vdpc": "VDPC, by phi",
    "baseline": "baselines",
}
"""Names for the legend, in its order."""

METRICS = {"top-1": "top-1", "agreement": "agree", "sqnr_db": "SQNR"}


def exploration_table(found: dict[str, Any]) -> Table:
    """One line a point; `B` and `C`: no other beats it in BitOPs or predicted cycles, `!`: too large."""
    shares = [found["metric"]] if found["metric"] != "sqnr_db" else []
    heads = [f">{METRICS[name]}" for name in shares]
    table = plain_table("=", "bits", ">BitOPs", ">latency", ">RAM", ">flash", *heads, ">SQNR")
    for point in found["points"]:
        table.add_row(
            marks_of(point),
            point["label"],
            f"/ {point['bitops_reduction']:.2f}" if point["bitops_reduction"] else "-",
            milliseconds(point["ms"]),
            size(point["arena_bytes"]),
            size(point["constant_bytes"]),
            *(percent(quality_of(point, name)) for name in shares),
            _decibels(point["accuracy"]["sqnr_db"]),
        )
    return table


def marks_of(point: dict[str, Any]) -> str:
    """`BC`, `B`, `C`, `!` or nothing."""
    if not point["fits"]:
        return "!"
    return ("B" if point["unbeaten_in_bitops"] else "") + ("C" if point["unbeaten_in_cycles"] else "")


def quality_of(point: dict[str, Any], metric: str) -> float | None:
    """What the points are compared by: a share from 0 to 1, or decibels."""
    value: float | None = point["accuracy"][{"top-1": "top1"}.get(metric, metric)]
    return value


def exploration_summary(found: dict[str, Any]) -> RenderableType:
    """What the table means."""
    samples = found["samples"]
    against = f", float {percent(found['float'])}" if found["float"] is not None else ""
    kinds = {
        "top-1": f"share of right classes{against}",
        "agreement": "share of samples with the float model's class",
        "sqnr_db": "signal to quantization noise of the outputs",
    }
    error = f"; standard error up to {100 * _standard_error(found):.1f} points"
    resolution = "" if found["metric"] == "sqnr_db" else error
    reference = count(found["bitops_of_8_bit_recompute"])
    facts = [
        ("marks", "no other is better in BitOPs (B) or latency (C) and as accurate; ! does not fit the board"),
        ("BitOPs", f"{reference} with 8 bits and recomputed halos, divided by"),
        ("latency", f"predicted for {found['board']} from the kernels' cost models, core only"),
        ("flash", "weights and tables"),
        ("baselines", f"maps by error and at random: to the BitOPs of VDQS with lambda {found['baseline_lambda']:g}"),
        (METRICS[found["metric"]], f"{kinds[found['metric']]}, on {samples} held-out samples{resolution}"),
    ]
    if any(point["family"] == "vdpc" for point in found["points"]):
        facts.append(("VDPC", "lambda as above; averages of the calibration data; beside as many patches at random"))
    chosen = _suggested(found)
    if chosen is not None:
        near = "3 dB" if found["metric"] == "sqnr_db" else f"{100 * _standard_error(found):.1f} points"
        facts.append(
            ("compile", f"`quantmcu compile ... {chosen['options']}`: the fewest BitOPs within {near} of the best line")
        )
    if not any(point["fits"] for point in found["points"]):
        facts.append(("fits", f"none fits {found['board']}; `quantmcu plan` shows what it takes"))
    return facts_table(facts)


def _standard_error(found: dict[str, Any]) -> float:
    """Of a share, where it is largest."""
    return 0.5 / math.sqrt(found["samples"])


def _suggested(found: dict[str, Any]) -> dict[str, Any] | None:
    """The fewest BitOPs of those that fit and are as accurate as the best that fits, for all that can be told."""
    margin = 3.0 if found["metric"] == "sqnr_db" else _standard_error(found)
    possible = [
        (quality, point)
        for point in found["points"]
        if point["fits"] and point["options"] and (quality := quality_of(point, found["metric"])) is not None
    ]
    near = [point for quality, point in possible if quality >= max(best for best, _ in possible) - margin]
    return min(near, key=lambda point: int(point["bitops"]), default=None)


def _decibels(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} dB"


@dataclass(frozen=True)
class Place:
    """Of a name beside its mark: the anchor of its text in SVG user units, and which end of it that is."""

    x: float
    y: float
    anchor: str

    def box(self, mark: Mark) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the name of `mark`."""
        width = _LETTER * len(mark.name)
        left = mark.x + self.x - {"start": 0.0, "middle": width / 2, "end": width}[self.anchor]
        return left, mark.y + self.y - _LETTER_HEIGHT, left + width, mark.y + self.y


PLACES = (Place(0, -9, "middle"), Place(0, 18, "middle"), Place(10, 4, "start"), Place(-10, 4, "end"))
"""In the order in which they are tried."""

_LETTER, _LETTER_HEIGHT, _MARK = 6.2, 9.0, 6.0
"""Width and height of a letter, and half the side of a mark."""


@dataclass(frozen=True)
class Mark:
    """A point in a panel; `name`: its setting or bits, where nothing beats it, and where that stands."""

    x: float
    y: float
    family: str
    text: str
    name: str
    fits: bool
    place: Place = PLACES[0]


@dataclass(frozen=True)
class Panel:
    """Quality against a cost.

    Attributes:
        left: where the panel begins.
        title: of the cost.
        ticks: x and text.
        marks: all points.
        line: corners of the steps through the unbeaten ones.
    """

    left: float
    title: str
    ticks: tuple[tuple[float, str], ...]
    marks: tuple[Mark, ...]
    line: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class _Axis:
    """From values to positions."""

    low: float
    high: float
    length: float

    @classmethod
    def of(cls, values: Sequence[float], length: float) -> _Axis:
        """With a margin; a wide one where all values are the same."""
        low, high = min(values), max(values)
        margin = 0.06 * (high - low) or 0.02 * abs(high) or 1.0
        return cls(low - margin, high + margin, length)

    def at(self, value: float) -> float:
        return round((value - self.low) / (self.high - self.low) * self.length, 1)

    def ticks(self, most: int) -> list[float]:
        return round_marks(self.low, self.high, most)


def render_exploration(found: dict[str, Any]) -> str:
    """The picture as SVG text: accuracy against BitOPs, and against predicted latency."""
    metric = found["metric"]
    points = [point for point in found["points"] if quality_of(point, metric) is not None]
    scale = 1 if metric == "sqnr_db" else 100
    qualities = [scale * (quality_of(point, metric) or 0.0) for point in points]
    reference = found["float"] * scale if found["float"] is not None else None
    chosen = [value for point, value in zip(points, qualities, strict=True) if point["family"] != "baseline"]
    quality = _Axis.of(chosen + ([reference] if reference is not None else []), HEIGHT)
    unit = "dB" if metric == "sqnr_db" else "%"
    most = float("inf") if metric == "sqnr_db" else 100
    return render_picture(
        "exploration.svg.j2",
        found=found,
        panels=[
            _panel(found, points, qualities, quality, "bitops", "BitOPs of an inference", 0),
            _panel(found, points, qualities, quality, "ms", "predicted latency, ms", WIDTH + GAP),
        ],
        y_ticks=[
            (HEIGHT - quality.at(value), f"{figure(round(value, 6))} {unit}")
            for value in quality.ticks(6)
            if value <= most
        ],
        float_y=None if reference is None else HEIGHT - quality.at(reference),
        legend=_legend({point["family"] for point in points}),
        reading=_reading(found, below=min(qualities) < quality.low),
        metric={"sqnr_db": "signal to noise of the outputs", "agreement": "agreement with float"}.get(metric, metric),
        width=WIDTH,
        height=HEIGHT,
        total=2 * WIDTH + GAP,
    )


def _reading(found: dict[str, Any], *, below: bool) -> str:
    """What the picture's lines and marks mean."""
    parts = ["line: what no other beats"]
    if not all(point["fits"] for point in found["points"]):
        parts.append("pale: does not fit")
    if below:
        parts.append("at the lower edge: worse still")
    return "; ".join(parts)


def _name(point: dict[str, Any]) -> str:
    """What stands at an unbeaten point."""
    if point["setting"] is not None:
        return {"vdqs": "λ {:g}", "vdpc": "φ {:g}", "together": "{:g} x"}[point["family"]].format(point["setting"])
    name: str = point["label"]
    return name.removeprefix("weights ").removeprefix("of ") if point["family"] == "weights" else ""


def _legend(present: Set[str]) -> list[tuple[str, str, float]]:
    """Family, name and x, one behind the other."""
    entries, x = [], 0.0
    for family, name in FAMILIES.items():
        if family in present:
            entries.append((family, name, x))
            x += 44 + 6.5 * len(name)
    return entries


def _panel(
    found: dict[str, Any],
    points: Sequence[dict[str, Any]],
    qualities: Sequence[float],
    quality: _Axis,
    cost: str,
    title: str,
    left: float,
) -> Panel:
    axis = _Axis.of([point[cost] for point in points], WIDTH)
    flag = "unbeaten_in_bitops" if cost == "bitops" else "unbeaten_in_cycles"
    marks: list[Mark] = []
    for point, value in zip(points, qualities, strict=True):
        accuracy = f"{value:.1f} {'dB' if found['metric'] == 'sqnr_db' else '%'}"
        text = f"{point['label']}: {count(point['bitops'])} BitOPs, {milliseconds(point['ms'])}, {accuracy}"
        x, y = axis.at(point[cost]), round(HEIGHT - quality.at(max(value, quality.low)), 1)
        is_named = point[flag] and all((mark.x, mark.y) != (x, y) for mark in marks if mark.name)
        text = text if point["fits"] else f"{text}; does not fit the board"
        marks.append(Mark(x, y, point["family"], text, _name(point) if is_named else "", point["fits"]))
    best = sorted({(m.x, m.y) for m, point in zip(marks, points, strict=True) if point[flag]})
    line = [corner for (_, y), (x, lower) in pairwise(best) for corner in ((x, y), (x, lower))]
    ticks = tuple((axis.at(value), count(value) if cost == "bitops" else figure(value)) for value in axis.ticks(5))
    return Panel(left, title, ticks, tuple(_placed(marks)), tuple(best[:1] + line))


def _placed(marks: Sequence[Mark]) -> list[Mark]:
    """The marks with their names where these hide least of other marks and names, within the panel."""
    taken = [(m.x - _MARK, m.y - _MARK, m.x + _MARK, m.y + _MARK) for m in marks]
    placed = []
    for mark in marks:
        if not mark.name:
            placed.append(mark)
            continue
        boxes = {place: place.box(mark) for place in PLACES}
        best = min(PLACES, key=lambda p: (sum(_overlap(boxes[p], box) for box in taken) + _outside(boxes[p])))
        taken.append(boxes[best])
        placed.append(replace(mark, place=best))
    return placed


_Box = tuple[float, float, float, float]


def _overlap(a: _Box, b: _Box) -> float:
    """Area in common."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _outside(box: _Box) -> float:
    """Area outside the panel."""
    return (box[2] - box[0]) * (box[3] - box[1]) - _overlap(box, (0.0, 0.0, WIDTH, HEIGHT))
