"""The measurements beside published silicon figures as a picture."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from benchmarks.tables import best, silicon_of

_PANELS = (("cortex-m4", "Cortex-M4"), ("cortex-m7", "Cortex-M7"))
_OWN, _OWN_MEMORY, _BASELINE = "#1b6ca8", "#7fb2d9", "#c8c8c8"
_OTHERS = ("#e08e45", "#b5651d", "#f2c14e", "#8c564b")


def draw(report: dict[str, Any], figures: dict[str, Any], path: Path) -> str | None:
    """Writes an SVG; returns why not where the library is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        return "no picture: the package matplotlib is not installed (pip install 'quantmcu[bench]')"
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "quantmcu"
    from matplotlib import pyplot

    published = [n for n in report["networks"] if n["published"] == n["id"]]
    networks = [n for n in published if any(silicon_of(figures, core, n["id"]) for core, _ in _PANELS)]
    figure, axes = pyplot.subplots(1, len(_PANELS), figsize=(13, 5.5))
    for axis, (core, title) in zip(axes, _PANELS, strict=True):
        series = _series(networks, figures, core)
        width = 0.85 / max(1, len(series))
        for index, (label, (colour, values)) in enumerate(series.items()):
            places = [n + (index - (len(series) - 1) / 2) * width for n in range(len(networks))]
            bars = axis.bar(places, [value or 0 for value in values], width, color=colour, label=label)
            axis.bar_label(
                bars, [f"{value:.2f}" if value else "" for value in values], fontsize=7, rotation=90, padding=2
            )
        axis.set_xticks(range(len(networks)), [n["id"].upper() for n in networks])
        axis.set_title(title)
        axis.set_ylabel("cycles per MAC of the published network")
        axis.margins(y=0.12)
        axis.spines[["top", "right"]].set_visible(False)
        # Below the bars, which it would hide.
        axis.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2, frameon=False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return None


def _series(
    networks: list[dict[str, Any]], figures: dict[str, Any], core: str
) -> dict[str, tuple[str, list[float | None]]]:
    """Bars by label: colour, and a value for each network."""
    own, memory, baseline = [], [], []
    for network in networks:
        row = best(network, core)
        reference = next((b for b in network["cmsis_nn"] if b["core"] == core), None)
        own.append(row["cycles"] / network["macs"] if row else None)
        memory.append(row["cycles_with_memory_model"] / network["macs"] if row else None)
        baseline.append(reference["cycles"] / network["macs"] if reference else None)
    series: dict[str, tuple[str, list[float | None]]] = {
        "QuantMCU, core only (emulator)": (_OWN, own),
        "QuantMCU, with memory model (emulator)": (_OWN_MEMORY, memory),
        "CMSIS-NN 4.0, core only (emulator)": (_BASELINE, baseline),
    }
    entries = [entry for entry in figures["silicon"] if entry["core"] == core]
    for colour, entry in zip(_OTHERS, entries, strict=False):
        values = [
            entry["ms"][n["id"]] * 1e-3 * entry["clock_hz"] / n["macs"] if n["id"] in entry["ms"] else None
            for n in networks
        ]
        series[f"{entry['stack']}, {entry['chip']} (silicon)"] = (colour, values)
    return series
