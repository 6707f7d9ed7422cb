"""quantmcu explore"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import quantmcu
from quantmcu.atomic import write_text
from quantmcu.cli.command import command, progress
from quantmcu.cli.options import MODEL, PREPROCESS, Bytes, patch_options, picture_option, reconstruct_option
from quantmcu.cli.output import Output
from quantmcu.exploration import LAMBDAS, PHIS, REDUCTIONS
from quantmcu.report.exploration import exploration_summary, exploration_table, render_exploration


def _row(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)


@command
@MODEL
@click.option("--board", required=True, help="Id of a board (`quantmcu boards`), or a manifest NAME.json.")
@click.option("--calib", metavar="PATH", help="Typical inputs: .npz (x), .npy, folder of images; a third measures.")
@click.option("--calib-limit", type=click.IntRange(min=1), default=200, show_default=True, help="Read at most so many.")
@PREPROCESS
@click.option(
    "--lam", type=float, multiple=True, help=f"VDQS: information against cost; repeatable.  [default: {_row(LAMBDAS)}]"
)
@click.option(
    "--bitops-reduction",
    type=float,
    multiple=True,
    metavar="X",
    help=f"Weights and maps together, X times fewer BitOPs; repeatable.  [default: {_row(REDUCTIONS)}]",
)
@click.option(
    "--phi",
    type=float,
    multiple=True,
    help=f"VDPC: central mass that is no outlier; repeatable.  [default: {_row(PHIS)} with --patch or --split-at]",
)
@click.option(
    "--bits", default="mixed", show_default=True, metavar="mixed|LIST", help="Of maps; mixed: 8 or 4; or e.g. 8,4,2."
)
@click.option(
    "--weight-bits",
    type=click.Choice(("auto", "8", "4", "2")),
    default="auto",
    show_default=True,
    help="Of VDQS, VDPC and the baselines.",
)
@click.option(
    "--information",
    type=click.Choice(("measured", "sqnr", "entropy")),
    default="measured",
    show_default=True,
    help="VDQS: what counts as information.",
)
@reconstruct_option("off")
@patch_options
@click.option("--flash-size", type=Bytes(), help="Flash budget in place of the board's, e.g. 1M.")
@picture_option("accuracy against BitOPs, latency")
def explore_command(
    output: Output,
    model: Path,
    board: str,
    calib: str | None,
    lam: tuple[float, ...],
    bitops_reduction: tuple[float, ...],
    phi: tuple[float, ...],
    picture: Path | None,
    calib_limit: int,
    **options: Any,
) -> None:
    """Try bits for MODEL on a board: accuracy against BitOPs and predicted latency.

    A third of --calib is held out, and measures what is lost; calibration takes the rest. Beside VDQS and weights and
    maps lowered together: 8 bits, weights of 4 bits, and baselines with as many BitOPs as VDQS.
    """
    with progress(output) as shown:
        found = quantmcu.explore(
            model,
            board,
            calibration=calib,
            calibration_limit=calib_limit,
            lams=lam or LAMBDAS,
            bitops_reductions=bitops_reduction or REDUCTIONS,
            phis=phi or None,
            progress=shown,
            **options,
        ).as_dict()
    if picture is not None:
        write_text(picture, render_exploration(found))
    output.show(found, exploration_table(found), exploration_summary(found))
