"""Two results side by side: figures, what they differ in, and layers matched by name."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from quantmcu.report import charts
from quantmcu.report.text import frequency

_FIGURES = (
    ("latency, ms", ("latency", "ms"), True),
    ("cycles", ("latency", "cycles"), True),
    ("RAM, bytes", ("memory", "ram_total_bytes"), True),
    ("arena, bytes", ("memory", "arena_bytes"), True),
    ("flash, bytes", ("memory", "flash_total_bytes"), True),
    ("weights, bytes", ("memory", "weights_bytes"), True),
    ("code, bytes", ("memory", "code_bytes"), True),
    ("MACs", ("plan", "macs"), True),
    ("BitOPs", ("bitops", "total"), True),
    ("parameters", ("model", "parameters"), True),
    ("accuracy, float", ("accuracy", "float"), False),
    ("accuracy, quantized", ("accuracy", "quantized"), False),
    ("agreement with float", ("accuracy", "agreement"), False),
    ("compile time, s", ("compile", "seconds"), True),
)
_NOTABLE = 0.02
"""Ratios nearer to 1 than this are not marked."""


@dataclass(frozen=True)
class ComparedFigure:
    """One figure of both results.

    Attributes:
        left, right: None where it is not known.
        ratio: right / left, for amounts; None for shares and where one is unknown or 0.
        is_share: 0 to 1, the more the better; else an amount, the less the better.
    """

    name: str
    left: float | None
    right: float | None
    ratio: float | None
    is_share: bool

    @property
    def change(self) -> str:
        """From left to right: a ratio, or for shares percentage points; "" where one is unknown."""
        if self.ratio is not None:
            return f"{self.ratio:.3f}"
        if not self.is_share or self.left is None or self.right is None:
            return ""
        return f"{100 * (self.right - self.left):+.1f} points"

    @property
    def judgement(self) -> str:
        """What to call the change: "better", "worse", or "" where there hardly is one."""
        if self.is_share and self.left is not None and self.right is not None:
            return "" if self.left == self.right else "better" if self.right > self.left else "worse"
        return _judgement(self.ratio)


@dataclass(frozen=True)
class Difference:
    """A condition in which the results differ; a dash where one has none."""

    name: str
    left: str
    right: str


@dataclass(frozen=True)
class ComparedLayer:
    """A layer of both results, or of one of them.

    Attributes:
        left, right: None where the result has no layer of this name.
        ratio: cycles of right / left; None where one is unknown.
        differs: bits, kernel or shape are not the same, or one has no such layer.
    """

    name: str
    left: charts.Layer | None
    right: charts.Layer | None
    ratio: float | None
    differs: bool

    @property
    def judgement(self) -> str:
        """As of a figure."""
        return _judgement(self.ratio)


def compare_results(left: dict[str, Any], right: dict[str, Any]) -> list[ComparedFigure]:
    """The figures that at least one of two result.json contents has."""
    rows = []
    for name, (section, key), is_amount in _FIGURES:
        a, b = (result.get(section, {}).get(key) for result in (left, right))
        if a is not None or b is not None:
            ratio = b / a if is_amount and a and b is not None else None
            rows.append(ComparedFigure(name, a, b, ratio, not is_amount))
    return rows


def compare_layers(left: dict[str, Any], right: dict[str, Any]) -> list[ComparedLayer]:
    """Layers matched by name, in the order of execution; cycles are compared only where both are of the same kind."""
    sides = [{layer.name: layer for layer in charts.layers(result)} for result in (left, right)]
    comparable = charts.cycles_are_measured(left) == charts.cycles_are_measured(right)
    return [_layer(name, sides[0].get(name), sides[1].get(name), comparable) for name in _merged(*map(list, sides))]


def differences(left: dict[str, Any], right: dict[str, Any]) -> list[Difference]:
    """The conditions in which they differ."""
    facts = [_conditions(result) for result in (left, right)]
    return [
        Difference(name, facts[0].get(name, "-"), facts[1].get(name, "-"))
        for name in dict.fromkeys([*facts[0], *facts[1]])
        if facts[0].get(name, "-") != facts[1].get(name, "-")
    ]


def _layer(name: str, left: charts.Layer | None, right: charts.Layer | None, comparable: bool) -> ComparedLayer:
    if left is None or right is None:
        return ComparedLayer(name, left, right, None, True)
    ratio = right.cycles / left.cycles if comparable and left.cycles and right.cycles is not None else None
    same = all(getattr(left, key) == getattr(right, key) for key in ("bits", "kernel", "shape", "patches"))
    return ComparedLayer(name, left, right, ratio, not same)


def _merged(left: list[str], right: list[str]) -> list[str]:
    """All names in an order that keeps both orders, as far as they agree."""
    merged: list[str] = []
    for _, start, stop, other_start, other_stop in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        merged += [*left[start:stop], *right[other_start:other_stop]]
    return list(dict.fromkeys(merged))


def _conditions(result: dict[str, Any]) -> dict[str, str]:
    """Everything that explains a figure, in words."""
    plan, board, latency = result["plan"], result["board"], result.get("latency")
    bits = sorted({layer.bits for layer in charts.layers(result) if layer.narrow})
    stages = [f"{'x'.join(map(str, s['grid']))} to {s['split_at']} ({s['halo_mode']})" for s in plan["stages"]]
    facts = {
        "model": result["model"]["name"],
        "model's SHA-256": result["model"]["sha256"][:16],
        "board": f"{board['id']} ({board['core']} at {frequency(board['clock_hz'])})",
        "patches": "; ".join(stages) or "none",
        "below 8 bits": " ".join(bits) or "nothing",
        "calibration": result["calibration"]["data"],
        "compiler": result["compile"]["compiler"] or "-",
        "flags": " ".join(result["compile"]["flags"] or []) or "-",
        "QuantMCU": result["quantmcu"],
    }
    if latency:
        facts["latency from"] = f"{latency['source']} ({latency['conditions']['runner']})"
        facts["measured with"] = f"QuantMCU {latency['conditions']['quantmcu']} {latency['conditions']['commit'] or ''}"
    if "validation" in result:
        facts["validated on"] = result["validation"]["data"]
    return facts


def _judgement(ratio: float | None) -> str:
    if ratio is None or abs(ratio - 1) < _NOTABLE:
        return ""
    return "better" if ratio < 1 else "worse"
