"""Patch-based inference: RAM against published figures, and the planned peak against the painted arena in the emulator.

    python -m benchmarks.patches [--quick]

Bytes are of activations, working memory and carried rows; the network's input is asked for on demand and not counted,
as in the published figures. The MAC factor is relative to running layer by layer.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import topologies
from quantmcu.codegen.kernel import Core
from quantmcu.data import input_specs, open_dataset
from quantmcu.device import DeviceSession
from quantmcu.emulator import Emulator
from quantmcu.emulator.transport import EmulatorTransport
from quantmcu.frontend import load_onnx, read_network
from quantmcu.passes import simplify
from quantmcu.patch.candidate import Candidate
from quantmcu.patch.search import Search
from quantmcu.pipeline import compile_model
from quantmcu.program.lower import lower
from quantmcu.program.program import Program
from quantmcu.quant import calibrate, quantize
from quantmcu.request import CompileRequest
from quantmcu.results import Result

BOARD = "nucleo-f767"
CORE = Core("cortex-m7", True, True)
_PAINTS = (0x5A, 0xC3)


@dataclass(frozen=True)
class Published:
    """A published plan: bytes of activations, and its multiply-accumulates relative to layer by layer."""

    nbytes: int
    mac_factor: float


@dataclass(frozen=True)
class Subject:
    """A network and what is published of it (None: nothing).

    Attributes:
        build: writes it as ONNX.
        layers_bytes: published figure of layer by layer inference.
    """

    name: str
    build: Callable[[Path], Path]
    layers_bytes: int | None
    published: tuple[Published, ...]


_MSF_CNN = (Published(67_996, 1.10), Published(21_389, 1.30), Published(15_199, 1.38), Published(8_560, 1.68))

SUBJECTS = (
    Subject(
        "MobileNetV2 0.35 @144, channels cut off",
        lambda path: topologies.mobilenet_v2(path, 0.35, 144, rounding=int),
        194_400,
        _MSF_CNN,
    ),
    Subject(
        "MobileNetV2 0.35 @144, channels in multiples of 8",
        lambda path: topologies.mobilenet_v2(path, 0.35, 144),
        None,
        _MSF_CNN,
    ),
    Subject(
        "MCUNet VWW @80 (first expansion fitted)",
        lambda path: topologies.mcunet(path, topologies.MCUNET_VWW),
        96_000,
        (Published(45_283, 1.04), Published(17_904, 1.35)),
    ),
    Subject(
        "MCUNet 320KB @176 (first expansion fitted)",
        lambda path: topologies.mcunet(path, topologies.MCUNET_320KB),
        309_760,
        (Published(217_891, 1.04), Published(51_164, 2.69)),
    ),
    Subject(
        "MobileNetV2 1.0 @224",
        lambda path: topologies.mobilenet_v2(path, 1.0, 224),
        None,
        (Published(262_144, float("inf")), Published(65_536, float("inf"))),
    ),
)


def integer_program(model: Path) -> Program:
    """The program of a model, quantized with random inputs."""
    graph = simplify(load_onnx(read_network(model)))
    return lower(quantize(graph, calibrate(graph, open_dataset("random", input_specs(graph), None), limit=1)))


def best_within(candidates: Sequence[Candidate], nbytes: int) -> Candidate | None:
    """The candidate with the fewest multiply-accumulates that needs at most so many bytes."""
    fitting = [candidate for candidate in candidates if candidate.arena_bytes <= nbytes]
    return min(fitting, key=lambda c: (c.macs, c.arena_bytes), default=None)


def smallest_within(candidates: Sequence[Candidate], macs: float) -> Candidate:
    """The candidate with the least memory among those with at most so many multiply-accumulates."""
    fitting = [candidate for candidate in candidates if candidate.macs <= macs]
    return min(fitting or candidates, key=lambda c: c.arena_bytes)


def fill(
    table: Table,
    subject: Subject,
    candidates: Sequence[Candidate],
    without_extra: Sequence[Candidate],
    layers: Candidate,
) -> None:
    """The rows of one network; `without_extra` are plans that compute nothing twice."""
    published = f"{subject.layers_bytes:,}" if subject.layers_bytes else "-"
    table.add_row(subject.name, published, "x1.00", f"{layers.arena_bytes:,}", "x1.000", "x1.000", "layer by layer")
    for target in subject.published:
        best = best_within(candidates, target.nbytes)
        said = f"x{target.mac_factor:.2f}" if target.mac_factor < 100 else "any"
        if best is None:
            smallest = min(candidates, key=lambda c: c.arena_bytes)
            row = (
                f"{smallest.arena_bytes:,}",
                _factor(smallest.macs, layers.macs),
                _factor(smallest.cycles, layers.cycles),
            )
            table.add_row("", f"{target.nbytes:,}", said, *row, "not reached; this is the smallest")
        else:
            row = (f"{best.arena_bytes:,}", _factor(best.macs, layers.macs), _factor(best.cycles, layers.cycles))
            beaten = best.macs < layers.macs * target.mac_factor
            table.add_row("", f"{target.nbytes:,}", said, *row, "beaten" if beaten else "fits, with more MACs")
    free = smallest_within([*candidates, *without_extra], layers.macs)
    row = (f"{free.arena_bytes:,}", _factor(free.macs, layers.macs), _factor(free.cycles, layers.cycles))
    table.add_row("", "", "x1.00", *row, "the least without extra MACs")


def _factor(value: float, reference: float) -> str:
    return f"x{value / reference:.3f}"


def painted_peak(result: Result) -> dict[str, tuple[int, int]]:
    """By memory region: bytes of the planned arena, and how far the emulated firmware touched it.

    The arenas are painted before a run, twice with different paint; a byte is touched when one of the paints is gone.
    """
    emulator = Emulator(result.elf, result.board)
    with closing(
        DeviceSession(EmulatorTransport(emulator), "emulator", result.program_sha256, run_timeout=900)
    ) as session:
        inputs = [np.full(tensor.shape, 77, np.uint8) for tensor in session.info.inputs]
        arenas = {name: emulator.elf.symbols[f"arena_{name}"] for name in result.data["memory"]["arena_by_region"]}
        touched: dict[str, set[int]] = {name: set() for name in arenas}
        for paint in _PAINTS:
            for name, address in arenas.items():
                emulator.write_memory(address, bytes([paint]) * result.data["memory"]["arena_by_region"][name])
            session.infer(inputs)
            for name, address in arenas.items():
                content = emulator.read_memory(address, result.data["memory"]["arena_by_region"][name])
                touched[name] |= {index for index, byte in enumerate(content) if byte != paint}
        planned = result.data["memory"]["arena_by_region"]
        return {name: (planned[name], max(places, default=-1) + 1) for name, places in touched.items()}


@click.command()
@click.option("--quick", is_flag=True, help="Without the emulator.")
def main(quick: bool) -> None:
    """Prints the tables."""
    console = Console(width=130)
    table = Table(
        "network",
        "published",
        "MACs",
        "QuantMCU",
        "MACs",
        "cycles",
        "verdict",
        title="bytes of activations, input not counted",
    )
    with tempfile.TemporaryDirectory() as temporary:
        models = [subject.build(Path(temporary) / f"network{index}.onnx") for index, subject in enumerate(SUBJECTS)]
        for subject, model in zip(SUBJECTS, models, strict=True):
            program = integer_program(model)
            search = Search(program, CORE, input_on_demand=True)
            without_extra = Search(program, CORE, input_on_demand=True, halo_modes=("cache",))
            fill(table, subject, search.run(most=60), without_extra.run(most=60), search.layers)
            console.print(f"searched {subject.name}", style="dim")
        console.print(table)
        if not quick:
            _check_peaks(console, models[1], Path(temporary))


def _check_peaks(console: Console, model: Path, folder: Path) -> None:
    peaks = Table("RAM budget", "region", "planned arena", "touched up to", title=f"painted arena, emulated {BOARD}")
    for ram in (180_000, 64_000, 32_000):
        out = folder / f"firmware_{ram}"
        request = CompileRequest(model, BOARD, "random", out, ram=ram, calibration_limit=1, input_on_demand=True)
        for region, (planned, used) in painted_peak(compile_model(request)).items():
            peaks.add_row(f"{ram:,}", region, f"{planned:,}", f"{used:,}")
    console.print(peaks)


if __name__ == "__main__":
    main()
