"""Puts the tables into docs/bitwidths.md, between its marks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.bitwidths.figures import CaseFigures
from benchmarks.bitwidths.reach import against_random, frontier, goals
from benchmarks.bitwidths.table import caption, problems, tables
from benchmarks.document import replace
from benchmarks.tables import markdown


def write(path: Path, found: Sequence[CaseFigures]) -> None:
    """Replaces what stands between `<!-- begin mobilenetv2-144 -->` and its end, and so on.

    Raises:
        UsageError: the document lacks a mark.
    """
    for figures in found:
        sentences = (*goals(figures), *against_random(figures))
        parts = [caption(figures), "", *(f"- {text}" for text in sentences), "", markdown(frontier(figures))]
        parts += [markdown(table) for table in tables(figures)]
        parts += [f"- not measured: {text}" for text in problems(figures)]
        replace(path, figures.case.id, "\n".join(parts))
