"""quantmcu report"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.console import RenderableType

import quantmcu
from quantmcu.atomic import write_text
from quantmcu.cli.command import command
from quantmcu.cli.output import Output
from quantmcu.report import page_of, write_comparison, write_report
from quantmcu.report.comparison import compare_layers, compare_results, differences
from quantmcu.report.tables import (
    accuracy,
    compared,
    compared_conditions,
    compared_layers,
    comparison,
    latency_summary,
    layers,
    memory,
    summary,
)
from quantmcu.report.vdpc_table import vdpc_tables
from quantmcu.results import Result


@command
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("other", metavar="[OTHER]", required=False, type=click.Path(path_type=Path))
@click.option("--html", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Write a page here.")
def report_command(output: Output, folder: Path, other: Path | None, html: Path | None) -> None:
    """Show the result in DIR, or compare it with OTHER.

    With DIR alone its report.html is drawn anew. A comparison is a page with --html.
    """
    result = quantmcu.Result.load(folder)
    if other is not None:
        _compare(output, result, quantmcu.Result.load(other), html)
        return
    if html is not None:
        write_text(html, page_of(result))
    write_report(result)
    tables = [summary(result.data), *vdpc_tables(result.data), memory(result.data), layers(result.data)]
    if "latency" in result.data:
        tables.append(latency_summary(result.data))
    if "accuracy" in result.data:
        tables.append(accuracy(result.data))
    output.show(result.data, *tables, f"Page: {html or result.folder / 'report.html'}")


def _compare(output: Output, left: Result, right: Result, html: Path | None) -> None:
    figures = compare_results(left.data, right.data)
    differing, matched = differences(left.data, right.data), compare_layers(left.data, right.data)
    names = str(left.folder), str(right.folder)
    tables: list[RenderableType] = [compared(left, right), comparison(figures)]
    if differing:
        tables.append(compared_conditions(differing))
    tables.append(compared_layers(matched))
    if html is not None:
        write_comparison(left.data, right.data, names, html)
        tables.append(f"Page: {html}")
    document = {
        "figures": [asdict(row) for row in figures],
        "differences": [asdict(row) for row in differing],
        "layers": [asdict(row) for row in matched],
    }
    output.show(document, *tables)
