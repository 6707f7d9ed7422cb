"""Accuracy against BitOPs for the ways to choose bits: the figures of docs/bitwidths.md.

    python -m benchmarks.bitwidths ../shared/models/mobilenetv2_1.0_imagenet_144.onnx ../shared/data/imagenet-sample

Every second image calibrates (at most --calib-limit of them), the others give the figures, by ONNX Runtime on the
exported QDQ model. Labels are those of the data, or the numbers that the files' names start with
(`0012_n01530575.jpg`). BitOPs, RAM of feature maps and predicted cycles are those of the plan that `compile` takes for
the board; BitOPs against 8 bits in 3x3 patches with recomputed halos (the first row) for all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeGuard

import click
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from quantmcu.bitwidths import BitChooser, BitsRequest, QuantizedNetwork
from quantmcu.data import Dataset, input_specs, load_preprocess, open_dataset
from quantmcu.data.dataset import Subset
from quantmcu.export import export_onnx
from quantmcu.frontend import load_onnx, read_network
from quantmcu.ir import Graph, ops
from quantmcu.ir.ops import Op
from quantmcu.memory.budget import budget_of
from quantmcu.passes import simplify
from quantmcu.patch.request import PatchRequest
from quantmcu.planning import choose_plan
from quantmcu.program.bitops import program_bitops
from quantmcu.progress import SilentProgress, StageClock
from quantmcu.quant import compare, weight_bytes
from quantmcu.quant.prepare import prepare
from quantmcu.targets import load_board

Outputs = list[list[NDArray[np.generic]]]
AMPLE_FLASH = 16 << 20


def is_layer(op: Op) -> TypeGuard[ops.Conv2D | ops.Dense]:
    """Whether an operator has weights."""
    return isinstance(op, ops.Conv2D | ops.Dense)


CHOICES: tuple[tuple[str, BitsRequest], ...] = (
    ("8 bit", BitsRequest(weights="8")),
    ("weights auto", BitsRequest()),
    ("weights 4", BitsRequest(weights="4")),
    *((f"maps by VDQS, lambda {lam:g}", BitsRequest("mixed", "8", lam)) for lam in (0.9, 0.8, 0.6)),
    ("maps by VDQS, noise", BitsRequest("mixed", "8", information="sqnr")),
    ("maps by VDQS, entropy", BitsRequest("mixed", "8", information="entropy")),
    ("weights auto, maps by VDQS", BitsRequest("mixed")),
    ("weights 4, maps by VDQS", BitsRequest("mixed", "4")),
    *((f"weights and maps together, {x:g}", BitsRequest("mixed", "8", reduction=x)) for x in (1.9, 2.2, 2.4)),
)


def run(graph: Graph, dataset: Dataset, *, qdq: bool) -> Outputs:
    """Outputs of the exported graph, by sample."""
    model = export_onnx(graph, qdq=qdq).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return [[np.asarray(output) for output in session.run(None, dict(sample.inputs))] for sample in dataset]


def plan_figures(chooser: BitChooser, network: QuantizedNetwork, patches: PatchRequest) -> tuple[int, str, str]:
    """By the plan for the board: BitOPs, predicted cycles, RAM.

    Weights that exceed the board's flash are planned with more of it, and the cycles marked: else the choice of kernels
    would give up speed for room that does not suffice anyway.
    """
    stored = sum(weight_bytes(op, network.weight_bits.get(op.name, 8)) for op in network.graph.ops if is_layer(op))
    fits = stored <= chooser.budget.constant_bytes
    budget = chooser.budget if fits else budget_of(chooser.board, flash=AMPLE_FLASH)
    candidate = choose_plan(network.program, chooser.board, budget, patches, may_overflow=True).candidate
    cycles = f"{candidate.cycles / 1e6:.1f} M" + ("" if fits else " *")
    return program_bitops(candidate.program), cycles, f"{candidate.arena_bytes / 1024:.0f} KiB"


def labels_of(everything: Dataset, folder: Path, indices: Sequence[int]) -> list[int] | None:
    """Labels of the data, else the numbers that the file names start with; None where there are neither."""
    if everything.labels is not None:
        return [int(everything.labels[index]) for index in indices]
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    matches = [re.match(r"\d+(?=_)", files[index].name) for index in indices]
    return [int(match[0]) for match in matches if match] if all(matches) else None


@click.command(help=__doc__.split("\n")[0] if __doc__ else None)
@click.argument("model", type=click.Path(path_type=Path, exists=True))
@click.argument("images", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--preprocess", default="imagenet-crop", show_default=True)
@click.option("--board", default="nucleo-f767", show_default=True)
@click.option("--patch", default="auto", show_default=True)
@click.option("--calib-limit", default=100, show_default=True)
@click.option("--only", default="", help="Only choices whose name holds this.")
def main(model: Path, images: Path, preprocess: str, board: str, patch: str, calib_limit: int, only: str) -> None:
    """Measures and prints the table."""
    original = simplify(load_onnx(read_network(model)))
    specs = input_specs(original)
    everything = open_dataset(images, specs, load_preprocess(preprocess, specs[0]))
    chosen, held_out = range(0, len(everything), 2), range(1, len(everything), 2)
    calibration, evaluation = Subset(everything, chosen).take(calib_limit), Subset(everything, held_out)
    clock = StageClock(SilentProgress())
    prepared = prepare(original, calibration, clock=clock)
    target = load_board(board)
    chooser = BitChooser(
        prepared.graph, prepared.calibration, calibration, target, budget_of(target), PatchRequest(patch), clock
    )
    expected, labels = run(original, evaluation, qdq=False), labels_of(everything, images, held_out)
    title = f"{model.stem} on {board}, {len(calibration)} images of calibration, {len(evaluation)} others"
    table = Table("", "fewer BitOPs", "cycles", "RAM", "top-1 (float)", "agreement", "SQNR", title=title)
    eight = chooser.choose(BitsRequest(weights="8"))
    reference, *figures = plan_figures(chooser, eight, PatchRequest("3x3", halo="recompute"))
    table.add_row("8 bit, 3x3 patches, halos recomputed", "1.00", *figures)
    for name, request in CHOICES:
        if only not in name:
            continue
        network = chooser.choose(request)
        bitops, *figures = plan_figures(chooser, network, chooser.patches)
        outputs = run(network.graph, evaluation, qdq=True)
        report = compare(expected, outputs, prepared.graph.outputs, labels=labels, classifier=True)
        top = "" if report.quantized is None else f"{100 * report.quantized:.1f} ({100 * (report.float_ or 0):.1f})"
        row = (
            name,
            f"{reference / bitops:.2f}",
            *figures,
            top,
            f"{100 * (report.agreement or 0):.1f}",
            f"{report.outputs[0].sqnr_db or float('inf'):.1f} dB",
        )
        table.add_row(*row)
        click.echo("  ".join(row), err=True)
    Console(width=120).print(table)
    click.echo("* with flash for the weights, which exceed the board's")


if __name__ == "__main__":
    main()
