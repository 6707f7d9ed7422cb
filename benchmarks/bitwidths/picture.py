"""Accuracy against BitOPs and against cycles as a picture: all rows, and those that no other one beats."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.bitwidths.figures import CaseFigures, Figures, unbeaten

_SECTIONS = {
    "8 bits": ("8 bits", "#222222", "s"),
    "weights": ("weights alone", "#b5651d", "^"),
    "maps": ("maps by VDQS", "#1b6ca8", "o"),
    "both": ("weights and maps", "#2a9d4a", "D"),
    "VDPC": ("two classes of patches", "#8e44ad", "P"),
    "latency": ("--objective latency", "#d1495b", "v"),
    "reconstructed": ("reconstructed", "#c99700", "*"),
}
"""Names, colours and marks; the baselines of equal BitOPs are grey."""

_BASELINES = ("equal BitOPs", "#a0a0a0", "x")

_LEAST_DISTANCE = 0.035
"""Of points with names, as a share of the width."""

_SHOWN_POINTS = 14
"""Rows that lose more would press the others together: they lie below the picture."""


def draw(found: Sequence[CaseFigures], path: Path) -> str | None:
    """Writes an SVG, one line of panels a network; returns why not where the library is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        return "no picture: the package matplotlib is not installed (pip install 'quantmcu[bench]')"
    if not found:
        return "no picture: there are no figures"
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "quantmcu"
    from matplotlib import pyplot

    figure, grid = pyplot.subplots(len(found), 2, figsize=(12, 4.4 * len(found)), squeeze=False, sharey="row")
    for axes, figures in zip(grid, found, strict=True):
        _panel(axes[0], figures, "BitOPs, of those of 8 bits in the stage's patches", lambda row: 1 / row.fewer)
        _panel(axes[1], figures, "predicted cycles, of the same", partial(_share_of_cycles, figures.reference))
        axes[0].set_ylabel(f"{figures.case.title}\ntop-1 %")
        lowest = figures.float_top1 - _SHOWN_POINTS
        axes[0].set_ylim(bottom=min(row.top1 for row in figures.rows if row.top1 >= lowest) - 1)
    handles: dict[str, Any] = {}
    for axes in grid.ravel():
        handles |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc="lower center", ncols=5, frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0.16 / len(found), 1, 1))
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return None


def _share_of_cycles(reference: Figures, row: Figures) -> float | None:
    return row.cycles / reference.cycles if row.cycles and reference.cycles else None


def _label(axes: Any, best: Sequence[tuple[float | None, Figures]]) -> None:
    """Names slanting downwards; of points so near each other that these would overlap, the first."""
    low, high = axes.get_xlim()
    style = {"fontsize": 6.5, "rotation": -40, "rotation_mode": "anchor", "va": "top", "clip_on": True}
    last = -1.0
    for place, figures in sorted(best, key=lambda item: item[0] or 0.0):
        if place is None or place - last < _LEAST_DISTANCE * (high - low):
            continue
        last = place
        axes.annotate(figures.row.label, (place, figures.top1), xytext=(3, -3), textcoords="offset points", **style)


def _panel(axes: Any, found: CaseFigures, title: str, cost: Callable[[Figures], float | None]) -> None:
    """All rows with this cost; bars are the standard error of the difference to 8 bits."""
    for section, (label, colour, mark) in {**_SECTIONS, "": _BASELINES}.items():
        rows = [f for f in found.rows if (f.row.section if f.row.section in _SECTIONS else "") == section]
        points = [(x, f.top1, f.lost[1]) for f in rows if (x := cost(f)) is not None]
        if points:
            places, heights, errors = zip(*points, strict=True)
            look = {"fmt": mark, "color": colour, "markersize": 5, "elinewidth": 0.6, "alpha": 0.85, "zorder": 3}
            axes.errorbar(places, heights, errors, label=label, **look)
    best = unbeaten(found.rows, cost)
    axes.step([cost(f) for f in best], [f.top1 for f in best], where="pre", color="#888888", linewidth=1, zorder=1)
    _label(axes, [(cost(figures), figures) for figures in best])
    axes.axhline(found.float_top1, color="#bbbbbb", linewidth=0.8, linestyle=":", zorder=0)
    right = ("axes fraction", "data")
    axes.annotate("float", (1, found.float_top1), xycoords=right, fontsize=7, ha="right", va="bottom")
    axes.set_xlabel(title)
    axes.spines[["top", "right"]].set_visible(False)
