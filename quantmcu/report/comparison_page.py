"""The page that puts two results side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quantmcu.atomic import write_text
from quantmcu.report import charts
from quantmcu.report.comparison import compare_layers, compare_results, differences
from quantmcu.report.html import render
from quantmcu.report.verdict import verdict


def write_comparison(left: dict[str, Any], right: dict[str, Any], names: tuple[str, str], path: Path) -> None:
    """Writes the page of two result.json contents, whole or not at all; `names` tell them apart.

    Raises:
        ToolError: the file can't be written.
    """
    write_text(path, render_comparison(left, right, names))


def render_comparison(left: dict[str, Any], right: dict[str, Any], names: tuple[str, str]) -> str:
    """The page."""
    rows = compare_layers(left, right)
    most = max((layer.cycles or 0 for row in rows for layer in (row.left, row.right) if layer is not None), default=0)
    peak = max(step["live_bytes"] for result in (left, right) for step in result["memory"]["timeline"])
    return render(
        "comparison",
        names=names,
        verdicts=[verdict(result) for result in (left, right)],
        figures=compare_results(left, right),
        differences=differences(left, right),
        rows=rows,
        most_cycles=most or 1,
        measured=[charts.cycles_are_measured(result) for result in (left, right)],
        timelines=[charts.timeline(result["memory"], peak) for result in (left, right)],
        titles=[f"{result['model']['name']} on {result['board']['id']}" for result in (left, right)],
    )
