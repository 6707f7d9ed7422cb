"""Accuracy against BitOPs and cycles for the ways to choose bits.

    python -m benchmarks.bitwidths [--network mobilenetv2-144] [--emulate] [--document docs/bitwidths.md]

Two halves of the images: each calibrates once, and the other one then gives the figures, by ONNX Runtime on the
exported QDQ model; so all images count, and none ever calibrates what it measures. BitOPs, RAM, flash and cycles are
those of the plan that `compile` takes for the board with the first half. Rows that the results' file holds already are
not measured again, unless QuantMCU's source has changed. The programs of planned rows are kept beside the results.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from benchmarks.bitwidths import document, picture
from benchmarks.bitwidths.cases import CASES
from benchmarks.bitwidths.figures import figures_of
from benchmarks.bitwidths.measure import Effort, measure_case
from benchmarks.bitwidths.reach import against_random, frontier, goals
from benchmarks.bitwidths.store import Store
from benchmarks.bitwidths.table import caption, problems, tables

RESULTS = Path(__file__).resolve().parents[1] / "data" / "bitwidths.json"


@click.command(help=__doc__.split("\n")[0] if __doc__ else None)
@click.option("--network", "chosen", multiple=True, type=click.Choice([c.id for c in CASES]), help="Default: all.")
@click.option("--only", multiple=True, help="Only rows whose name (section: label) holds this.")
@click.option("--emulate", is_flag=True, help="Build the firmware of the main rows and run it in the emulator.")
@click.option("--calib-limit", default=250, show_default=True, help="Images of a half that calibrate.")
@click.option("--limit", type=int, help="Images of a half that give figures; default: all.")
@click.option("--keep-older", is_flag=True, help="Keep the accuracy that another version of the source has.")
@click.option("--results", type=click.Path(path_type=Path, dir_okay=False), default=RESULTS, show_default=True)
@click.option("--measure/--no-measure", default=True, help="Only print and write what the results' file holds.")
@click.option("--document", "path", type=click.Path(path_type=Path, exists=True), help="Put tables and picture there.")
def main(
    chosen: Sequence[str],
    only: Sequence[str],
    emulate: bool,
    calib_limit: int,
    limit: int | None,
    keep_older: bool,
    results: Path,
    measure: bool,
    path: Path | None,
) -> None:
    """Measures, prints tables, writes the document."""
    store, cases = Store(results), [case for case in CASES if case.id in chosen or not chosen]
    effort = Effort(calib_limit, limit, emulate, keep_older)
    for case in cases if measure else ():
        if why := case.missing():
            click.echo(f"{case.id} is left out: {why}", err=True)
            continue
        measure_case(case, store, effort, only, lambda text: click.echo(text, err=True))
    found = [figures for case in cases if (figures := figures_of(case, store)) is not None]
    console = Console()
    console = console if console.is_terminal else Console(width=160)
    for figures in found:
        console.print(f"\n{figures.case.title}", style="bold")
        for table in tables(figures):
            console.print(table)
        console.print(frontier(figures))
        for text in (caption(figures), *goals(figures), *against_random(figures)):
            console.print(text)
        for text in problems(figures):
            console.print(f"no figures: {text}")
    if path is not None:
        document.write(path, found)
        why = picture.draw(found, path.with_suffix(".svg"))
        console.print(why or f"picture: {path.with_suffix('.svg')}")


if __name__ == "__main__":
    main()
