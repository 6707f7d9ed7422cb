"""The figures of a network as tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from benchmarks.bitwidths.figures import CaseFigures, Figures
from benchmarks.bitwidths.reach import points
from benchmarks.bitwidths.rows import EIGHT_BITS, SECTIONS
from quantmcu.report.text import size

COLUMNS = (
    "fewer BitOPs", "of the stage", "top-1", "to 8 bits", "agreement", "SQNR", "cycles", "emulated", "RAM", "flash"
)  # fmt: skip


def tables(found: CaseFigures) -> list[Table]:
    """One a section."""
    made = []
    for section, title in SECTIONS.items():
        rows = [figures for figures in found.rows if figures.row.section == section]
        if not rows:
            continue
        table = Table(title=title)
        table.add_column("")
        for column in COLUMNS:
            table.add_column(column, justify="right")
        for figures in rows:
            table.add_row(_label(figures), *_cells(figures))
        made.append(table)
    return made


def _label(figures: Figures) -> str:
    share = figures.costs.get("outlier_share")
    return figures.row.label if share is None else f"{figures.row.label} ({share:.0%} at 8 bits)"


def _cells(figures: Figures) -> Sequence[str]:
    accuracy, costs = figures.accuracy, figures.costs
    planned = "cycles" in costs
    return (
        f"{figures.fewer:.2f} ({figures.fewer_fastest:.2f})",
        f"{figures.fewer_stage:.2f}",
        f"{figures.top1:.1f}",
        "" if figures.row == EIGHT_BITS else points(figures),
        f"{figures.agreement:.1f}",
        f"{accuracy.sqnr_db:.1f} dB",
        _cycles(figures) if planned else "",
        "" if figures.emulated is None else _millions(figures.emulated),
        size(costs["arena_bytes"]) if planned else "",
        size(costs["constant_bytes"]) if planned else "",
    )


def _cycles(figures: Figures) -> str:
    costs = figures.costs
    worst = "" if costs["worst_cycles"] == costs["cycles"] else f" (≤ {_millions(costs['worst_cycles'])})"
    marks = ("" if costs["fits"] else " *") + (" †" if figures.is_older else "")
    return _millions(costs["cycles"]) + worst + marks


def _millions(cycles: int) -> str:
    return f"{cycles / 1e6:.1f} M"


def caption(found: CaseFigures) -> str:
    """Conditions of the figures."""
    about, reference = found.about, found.reference
    return (
        f"{about['images']:,} images in all; calibrated on {about['calibration'][0]} of the other half of them. Float "
        f"{found.float_top1:.1f} %. Reference: {reference.costs['bitops'] / 1e9:.2f} G BitOPs, "
        f"{reference.costs['stage_bitops'] / 1e9:.2f} G of them in the stage. Commit {', '.join(found.commits)}."
    )


_HINT = "\n  hint:"
"""Where that part of an error starts."""


def problems(found: CaseFigures) -> list[str]:
    """Rows without figures, and why; not what to do about it, which names files of the machine."""
    return [f"{name}: {why.partition(_HINT)[0]}" for name, why in found.problems.items()]
