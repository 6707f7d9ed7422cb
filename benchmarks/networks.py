"""Whole networks on Cortex-M4 and Cortex-M7: cycles, memory, by layer; beside CMSIS-NN and published silicon figures.

    python -m benchmarks.networks [--document docs/performance.md]

Needs `pip install 'quantmcu[bench]'` for the baseline and the picture, and the models of suite.py; what is absent is
skipped with its reason. Writes networks.json and networks.svg to benchmarks/results.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks import cmsis_nn, own, picture, tables
from benchmarks.document import write_document
from benchmarks.suite import NETWORKS, Network
from quantmcu.errors import QuantMCUError
from quantmcu.measurement import source_commit
from quantmcu.targets import load_board

HERE = Path(__file__).resolve().parent
BOARDS = ("nucleo-l4r5", "nucleo-f767")


def published() -> dict[str, Any]:
    """Figures of others and the goals (data/published.json)."""
    content: dict[str, Any] = json.loads((HERE / "data" / "published.json").read_text())
    return content


@click.command(help=__doc__.split("\n")[0] if __doc__ else None)
@click.option("--network", "chosen", multiple=True, type=click.Choice([n.id for n in NETWORKS]), help="Default: all.")
@click.option("--board", "boards", multiple=True, default=BOARDS, show_default=True)
@click.option("--toolchain", "toolchains", multiple=True, default=("gcc", "zig"), show_default=True)
@click.option("--baseline/--no-baseline", default=True, help="Measure CMSIS-NN too.")
@click.option("--layers", is_flag=True, help="Also print cycles by layer.")
@click.option("--document", type=click.Path(path_type=Path, exists=True), help="Put the tables there, and the picture.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=HERE / "results", show_default=True)
def main(
    chosen: Sequence[str],
    boards: Sequence[str],
    toolchains: Sequence[str],
    baseline: bool,
    layers: bool,
    document: Path | None,
    out: Path,
) -> None:
    """Measures, prints tables and writes the results."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    out.mkdir(parents=True, exist_ok=True)

    def save(report: dict[str, Any]) -> None:
        (out / "networks.json").write_text(json.dumps(report, indent=1) + "\n")

    report = run([n for n in NETWORKS if n.id in chosen or not chosen], boards, toolchains, baseline, console, save)
    figures = published()
    tables.show(report, figures, console, layers=layers)
    problem = picture.draw(report, figures, out / "networks.svg")
    console.print(problem or f"picture: {out / 'networks.svg'}")
    if document is not None:
        write_document(document, report, figures)
        document.with_suffix(".json").write_text(json.dumps(report) + "\n")
        picture.draw(report, figures, document.with_suffix(".svg"))


def run(
    networks: Sequence[Network],
    boards: Sequence[str],
    toolchains: Sequence[str],
    baseline: bool,
    console: Console,
    save: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Measures everything and saves it after each network; what can't be measured is listed under `skipped`."""
    report: dict[str, Any] = {
        "commit": source_commit(),
        "conditions": _conditions(boards),
        "networks": [],
        "skipped": [],
    }
    reason = cmsis_nn.available() if baseline else "not asked for"
    if reason:
        report["skipped"].append({"network": "all", "what": "CMSIS-NN", "why": reason})
    with tempfile.TemporaryDirectory(prefix="quantmcu-benchmark-") as folder:
        for network in networks:
            if why := network.missing():
                report["skipped"].append({"network": network.id, "what": "all", "why": why})
                continue
            report["networks"].append(
                _network(network, boards, toolchains, reason is None, Path(folder), report, console)
            )
            save(report)
    return report


def _network(
    network: Network,
    boards: Sequence[str],
    toolchains: Sequence[str],
    baseline: bool,
    folder: Path,
    report: dict[str, Any],
    console: Console,
) -> dict[str, Any]:
    model = network.model(folder)
    layers, left_out = cmsis_nn.layers_of(model)
    row: dict[str, Any] = {
        "id": network.id,
        "published": network.published or network.id,
        "title": network.title,
        "macs": network.macs or sum(layer.macs for layer in layers),
        "quantmcu": [],
        "cmsis_nn": [],
        "cmsis_nn_left_out": left_out,
    }
    for board in boards:
        for toolchain in toolchains:
            with console.status(f"{network.title}: {board}, {toolchain}"):
                try:
                    row["quantmcu"].append(
                        own.measure(model, board, toolchain, folder, network.ram) | {"toolchain": toolchain}
                    )
                except QuantMCUError as error:
                    what = f"{board}, {toolchain}"
                    report["skipped"].append({"network": network.id, "what": what, "why": str(error)})
    measured_before = network.published is not None
    for core in dict.fromkeys(load_board(board).core for board in boards) if baseline and not measured_before else ():
        with console.status(f"{network.title}: CMSIS-NN on {core}"):
            row["cmsis_nn"].append(cmsis_nn.measure(layers, core))
    return row


def _conditions(boards: Sequence[str]) -> dict[str, Any]:
    return {
        "runner": "QuantMCU's emulator, the exact firmware; one inference after one that warms caches",
        "input": "random codes (seed 0); calibration with random data",
        "cycles_per_mac": "cycles of one inference by MACs of the network as published",
        "core only": "the cycle model of the core, memory without wait states",
        "with memory": "plus wait states and caches of the board (quantmcu/emulator/wait_states.py)",
        "CMSIS-NN": "4.0.0 (PyPI bakenn), called layer by layer, gcc, faster of -O2 and -O3, core only",
        "boards": {board: load_board(board).cycle_model for board in boards},
    }


if __name__ == "__main__":
    main()
