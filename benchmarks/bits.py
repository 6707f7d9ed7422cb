"""MobileNetV2 1.0 @144 and the demo network with fewer bits: cycles by kind of layer on Cortex-M7 and Cortex-M4.

    python -m benchmarks.bits
    python -m benchmarks.bits --network demo --calib images/ --preprocess cifar10
    python -m benchmarks.bits --network mobilenetv2 --board nucleo-f767 --variant "w4 a4" --own-flash

8-bit weights and maps, 4-bit weights, both with mixed maps (VDQS), and all of 4 bits but inputs, outputs and what
patch stages stitch, in one run. Boards get more flash than they have, so that all of them fit, unless --own-flash is
given. Core only; weights of MobileNetV2 are random, unless --model names a model.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.mobilenetv2 import write_mobilenetv2
from benchmarks.suite import ROOT
from quantmcu.device import DeviceSession
from quantmcu.emulator import Emulator
from quantmcu.emulator.transport import EmulatorTransport
from quantmcu.pipeline import compile_model
from quantmcu.request import CompileRequest
from quantmcu.resources import data_folder
from quantmcu.results import Result
from quantmcu.timed_inputs import random_codes

BOARDS = ("nucleo-f767", "nucleo-l4r5")
FLASH_BYTES = 8 << 20
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "w8 a8": {"weight_bits": "8", "bits": "8"},
    "w4 a8": {"weight_bits": "4", "bits": "8"},
    "w8 mixed": {"weight_bits": "8", "bits": "mixed"},
    "w4 mixed": {"weight_bits": "4", "bits": "mixed"},
    "w4 a4": {"weight_bits": "4", "bits": "mixed", "lam": 0.0},
}
KINDS = ("depthwise", "convolution", "dense", "add", "other")
_DEPTHWISE_TAPS = (9, 25, 49)


def with_more_flash(board: str, folder: Path) -> str:
    """A copy of the board's manifest with `FLASH_BYTES` of flash: its path."""
    manifest = json.loads((data_folder("boards") / f"{board}.json").read_text())
    for region in manifest["quantmcu"]["memory"]:
        if region["kind"] == "flash":
            region["size"] = FLASH_BYTES
    manifest["upload"]["maximum_size"] = FLASH_BYTES
    path = folder / f"{board}.json"
    path.write_text(json.dumps(manifest))
    return str(path)


def kind_of(step: Mapping[str, Any]) -> str:
    """Which of `KINDS` a step of result.json is."""
    if step.get("operator") == "Linear":
        return "add"
    if step.get("operator") != "Convolution":
        return "other"
    shape = step["shape"]
    if "depthwise" in step["kernel"] or step["macs"] / np.prod(shape) in _DEPTHWISE_TAPS:
        return "depthwise"
    return "dense" if tuple(shape[1:3]) == (1, 1) else "convolution"


def cycles_by_kind(result: Result) -> Counter[str]:
    """Cycles of one inference in the emulator."""
    steps = {step["name"]: step for step in result.data["steps"]}
    emulator = Emulator(result.elf, result.board)
    session = DeviceSession(EmulatorTransport(emulator), "emulator", result.program_sha256, timeout=30, run_timeout=900)
    try:
        inputs = [random_codes(tensor) for tensor in session.identify().inputs]
        profile = session.profile(1, inputs)
    finally:
        session.close()
    found: Counter[str] = Counter()
    for name, times in zip(profile.names, profile.steps, strict=True):
        found[kind_of(steps.get(name, {}))] += int(times.median)
    return found


def measure(
    model: Path,
    boards: Sequence[str],
    variants: Sequence[str],
    calib: str,
    preprocess: str | None,
    console: Console,
    *,
    own_flash: bool = False,
) -> list[dict[str, Any]]:
    """Every board with every variant; `own_flash`: no more flash than the boards have."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="quantmcu-bits-") as name:
        for board in boards:
            manifest = board if own_flash else with_more_flash(board, Path(name))
            for variant in variants:
                with console.status(f"{model.stem}: {board}, {variant}"):
                    out = Path(name) / f"{board}-{variant.replace(' ', '-')}"
                    request = CompileRequest(
                        model, manifest, calib, out, preprocess=preprocess, reconstruct="off", **VARIANTS[variant]
                    )
                    result = compile_model(request)
                    cycles = cycles_by_kind(result)
                    narrow = sum(step["output_bits"] < 8 for step in result.data["steps"])
                    predicted = sum(step["predicted_cycles"] for step in result.data["steps"])
                    row = {"network": model.stem, "board": board, "core": result.board.core, "variant": variant}
                    row |= {"maps below 8 bits": narrow, "predicted": predicted}
                    rows.append(row | {"cycles": dict(cycles), "all": cycles.total()})
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Millions of cycles by kind; the ratio is to 8 bits on the same board."""
    result = Table(title="million cycles by kind of layer, core only")
    texts, numbers = ("network", "core", "bits"), ("narrow maps", *KINDS, "all", "predicted", "of w8 a8")
    for column in (*texts, *numbers):
        result.add_column(column, justify="right" if column in numbers else "left")
    whole = {(row["network"], row["board"]): row["all"] for row in rows if row["variant"] == "w8 a8"}
    for row in rows:
        base = whole.get((row["network"], row["board"]))
        result.add_row(
            row["network"], row["core"], row["variant"], str(row["maps below 8 bits"]),
            *(f"{row['cycles'].get(kind, 0) / 1e6:.3f}" for kind in KINDS),
            f"{row['all'] / 1e6:.3f}", f"{row['predicted'] / 1e6:.3f}", f"{row['all'] / base:.3f}" if base else "",
        )  # fmt: skip
    return result


@click.command(help=__doc__.split("\n")[0] if __doc__ else None)
@click.option("--network", type=click.Choice(["demo", "mobilenetv2"]), multiple=True, help="Default: both.")
@click.option("--model", type=click.Path(exists=True, path_type=Path), help="Another model in place of these.")
@click.option("--board", "boards", type=click.Choice(BOARDS), multiple=True, default=BOARDS, show_default=True)
@click.option("--variant", "variants", type=click.Choice(list(VARIANTS)), multiple=True, default=list(VARIANTS))
@click.option("--calib", default="random", show_default=True)
@click.option("--preprocess")
@click.option("--own-flash", is_flag=True, help="No more flash than the boards have: what does not fit fails.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write the figures to this file.")
def main(
    network: Sequence[str],
    model: Path | None,
    boards: Sequence[str],
    variants: Sequence[str],
    calib: str,
    preprocess: str | None,
    own_flash: bool,
    json_path: Path | None,
) -> None:
    """Entry point."""
    console = Console(stderr=True)
    rows = []
    with tempfile.TemporaryDirectory(prefix="quantmcu-bits-") as name:
        made = Path(name) / "mobilenetv2_1.0_144.onnx"
        models = {"demo": ROOT / "demo" / "cifar10_mobilenetv2.onnx", "mobilenetv2": made}
        chosen = [model] if model else [models[key] for key in (network or models)]
        if made in chosen:
            write_mobilenetv2(made, 1.0, 144)
        for path in chosen:
            rows += measure(path, boards, variants, calib, preprocess, console, own_flash=own_flash)
    Console(width=150).print(table(rows))
    if json_path:
        json_path.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
