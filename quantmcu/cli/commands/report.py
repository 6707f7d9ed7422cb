"""quantmcu report"""

from __future__ import annotations

from pathlib import Path

import click

import quantmcu
from quantmcu.cli.command import command
from quantmcu.cli.output import Output
from quantmcu.report import write_report
from quantmcu.report.comparison import compare_results
from quantmcu.report.tables import accuracy, comparison, latency_summary, layers, memory, summary


@command
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("other", metavar="[OTHER]", required=False, type=click.Path(path_type=Path))
def report_command(output: Output, folder: Path, other: Path | None) -> None:
    """Show the result in DIR, or compare it with OTHER.

    With DIR alone its report.html is drawn anew.
    """
    result = quantmcu.Result.load(folder)
    if other is not None:
        rows = compare_results(result.data, quantmcu.Result.load(other).data)
        document = [vars(row) for row in rows]
        output.show(document, comparison(rows, str(folder), str(other)))
        return
    write_report(result)
    tables = [summary(result.data), memory(result.data), layers(result.data)]
    if "latency" in result.data:
        tables.append(latency_summary(result.data))
    if "accuracy" in result.data:
        tables.append(accuracy(result.data))
    output.show(result.data, *tables, f"Page: {result.folder / 'report.html'}")
