"""What patches cost on the emulated board, step by step: the halo's own work, copies, and the rest.

    python -m benchmarks.patch_overhead [MODEL]

Without a model: MobileNetV2 0.35 @144. The halo's own work is what its multiply-accumulates take at the cycles per MAC
that the same layers have without patches; the first layers, in which halos lie, take more of them than the average.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks import topologies
from quantmcu.pipeline import compile_model
from quantmcu.request import CompileRequest
from quantmcu.runners import open_session

BOARD = "nucleo-f767"
_MOVES = ("Load", "Slice")
_PLANS: Mapping[str, dict[str, object]] = {
    "3x3, recompute": {"patch": "3x3", "halo": "recompute"},
    "3x3, cache-rows": {"patch": "3x3", "halo": "cache-rows"},
    "3x3, cache": {"patch": "3x3", "halo": "cache"},
    "2x2, recompute": {"patch": "2x2", "halo": "recompute"},
}


@dataclass(frozen=True)
class Measured:
    """A firmware's arena, and MACs and cycles of its steps by name."""

    arena_bytes: int
    macs: Mapping[str, int]
    cycles: Mapping[str, int]
    moving: frozenset[str]

    @property
    def all_macs(self) -> int:
        """MACs of all steps."""
        return sum(self.macs.values())

    @property
    def all_cycles(self) -> int:
        """Cycles of all steps."""
        return sum(self.cycles.values())


def measure(model: Path, out: Path, **options: object) -> Measured:
    """Compiles a model and runs it once in the emulator."""
    request = CompileRequest(model, BOARD, "random", out, calibration_limit=1, **options)
    result = compile_model(request)
    with open_session(result, "emulator") as session:
        profile = session.profile(1)
    steps = result.data["steps"]
    return Measured(
        result.data["memory"]["arena_bytes"],
        {step["name"]: step["macs"] for step in steps},
        {name: step.cycles[0] for name, step in zip(profile.names, profile.steps, strict=True)},
        frozenset(step["name"] for step in steps if step["operator"] in _MOVES),
    )


def parts(layers: Measured, patched: Measured) -> tuple[float, float, float]:
    """Cycles of the halo's MACs at the layers' own rate, of copies, and of everything else."""
    halo = copies = 0.0
    for name, macs in patched.macs.items():
        if layers.macs.get(name):
            halo += (macs - layers.macs[name]) * layers.cycles[name] / layers.macs[name]
        elif name in patched.moving and name not in layers.macs:
            copies += patched.cycles[name]
    return halo, copies, patched.all_cycles - layers.all_cycles - halo - copies


@click.command()
@click.argument("model", required=False, type=click.Path(exists=True, path_type=Path))
def main(model: Path | None) -> None:
    """Prints the table."""
    table = Table("plan", "arena", "MACs", "cycles", "of which halo MACs", "loads, crops", "rest")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = model or topologies.mobilenet_v2(folder / "network.onnx", 0.35, 144)
        layers = measure(model, folder / "layers", patch="off")
        half = {"half the RAM": {"ram": layers.arena_bytes // 2 + 8192}}
        table.add_row("layer by layer", f"{layers.arena_bytes:,}", "", f"{layers.all_cycles:,}", "", "", "")
        for index, (name, options) in enumerate((_PLANS | half).items()):
            patched = measure(model, folder / f"patched_{index}", **options)
            shares = [part / layers.all_cycles for part in parts(layers, patched)]
            table.add_row(
                name,
                f"{patched.arena_bytes:,}",
                f"{patched.all_macs / layers.all_macs - 1:+.1%}",
                f"{patched.all_cycles / layers.all_cycles - 1:+.1%}",
                *(f"{share:+.1%}" for share in shares),
            )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
