"""Geometry of the page's charts: the template only draws what is computed here. Coordinates are SVG user units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from quantmcu.patch.region import divide

WIDTH, HEIGHT = 800, 220


@dataclass(frozen=True)
class Layer:
    """A row of the table of layers.

    Attributes:
        bits: of inputs, weights and output.
        narrow: some of them are below 8.
        bound: cycles that no kernel goes below; None where unknown.
        cycles: measured; predicted by the kernel's cost model where nothing was measured; None where unknown.
        share: of all cycles, 0 to 1.
        macs_share: of all MACs, 0 to 1.
        bar, macs_bar: lengths of the bars, 100 for the largest share of the table.
    """

    name: str
    operator: str
    kernel: str
    shape: list[int]
    bits: str
    narrow: bool
    macs: int
    cycles: int | None
    cycles_per_mac: float | None
    bound: int | None
    share: float
    macs_share: float
    bar: float
    macs_bar: float


def layers(result: dict[str, Any]) -> list[Layer]:
    """One row a step."""
    latency = result.get("latency") or {"by_layer": []}
    measured = {row["name"]: row["cycles"] for row in latency["by_layer"]}
    steps = result["steps"]
    cycles = [measured.get(step["name"]) for step in steps] if measured else [None] * len(steps)
    total = sum(value or 0 for value in cycles) or 1
    macs = sum(step["macs"] for step in steps) or 1
    shares = [((value or 0) / total, step["macs"] / macs) for step, value in zip(steps, cycles, strict=True)]
    longest = max((max(pair) for pair in shares), default=0) or 1
    return [
        Layer(
            step["name"],
            step["operator"],
            step["kernel"],
            step["shape"],
            _bits(step),
            min(*step["input_bits"], step["weight_bits"] or 8, step["output_bits"]) < 8,
            step["macs"],
            value,
            value / step["macs"] if value and step["macs"] else None,
            step.get("theoretical_cycles"),
            share,
            macs_share,
            100 * share / longest,
            100 * macs_share / longest,
        )
        for step, value, (share, macs_share) in zip(steps, cycles, shares, strict=True)
    ]


def _bits(step: dict[str, Any]) -> str:
    """`8·w4→8`: input, weights, output."""
    inputs = "+".join(str(bits) for bits in step["input_bits"])
    weights = f"·w{step['weight_bits']}" if step["weight_bits"] else ""
    return f"{inputs}{weights}→{step['output_bits']}"


@dataclass(frozen=True)
class Stage:
    """A patch stage, drawn as the map that it produces with its patches.

    Attributes:
        after, last: steps behind which it begins (None: the input) and with which it ends.
        shape: of the map.
        halo: what becomes of rows that several patches need, in words.
        width, height: of the picture.
        cells: x, y, width and height of each patch.
    """

    after: str | None
    last: str
    shape: list[int]
    rows: int
    columns: int
    halo: str
    width: float
    height: float
    cells: list[tuple[float, float, float, float]]


_HALOS = {
    "recompute": "computed again by each patch",
    "cache": "rows are kept from patch to patch",
    "cache-narrow": "rows are kept from patch to patch, except those of widening pointwise convolutions",
}
_PICTURE = 200


def stages(result: dict[str, Any]) -> list[Stage]:
    """The patch stages of the plan; empty where the network runs layer by layer."""
    return [_stage(stage) for stage in result["plan"].get("stages", [])]


def _stage(stage: dict[str, Any]) -> Stage:
    rows, columns = stage["grid"]
    shape = stage["shape"]
    map_height, map_width = shape[1:3]
    scale = _PICTURE / max(map_height, map_width)
    cells = [
        (across.start * scale, down.start * scale, len(across) * scale, len(down) * scale)
        for down in divide(map_height, rows)
        for across in divide(map_width, columns)
    ]
    halo = _HALOS[stage["halo_mode"]]
    return Stage(
        stage["after"], stage["split_at"], shape, rows, columns, halo, map_width * scale, map_height * scale, cells
    )


@dataclass(frozen=True)
class TimelineBar:
    """One step: its place in the chart, name and live bytes."""

    x: float
    y: float
    width: float
    step: str
    nbytes: int


@dataclass(frozen=True)
class Timeline:
    """Live bytes by step.

    Attributes:
        bars: by step, from y down to HEIGHT.
        peak: index of the highest one.
        peak_bytes: its bytes.
        ticks: y and bytes of the grid lines.
    """

    bars: list[TimelineBar]
    peak: int
    peak_bytes: int
    ticks: list[tuple[float, int]]


def timeline(memory: dict[str, Any]) -> Timeline:
    """The chart of live bytes; the top edge is a little above the peak."""
    steps = memory["timeline"]
    values = [step["live_bytes"] for step in steps]
    most = max(values, default=0) or 1
    top = most * 1.08
    width = WIDTH / max(1, len(values))
    bars = [
        TimelineBar(index * width, HEIGHT * (1 - value / top), width, steps[index]["step"], value)
        for index, value in enumerate(values)
    ]
    ticks = [(HEIGHT * (1 - value / top), value) for value in range(0, int(top) + 1, _tick_unit(most))]
    return Timeline(bars, values.index(most) if values else 0, most, ticks)


def _tick_unit(most: int) -> int:
    """A power of two that gives three to six grid lines."""
    unit = 1
    while most / unit > 5:
        unit *= 2
    return unit


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
