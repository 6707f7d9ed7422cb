"""Cycles of the convolution kernels by layer, measured in the emulator, beside what the kernels predict.

    python -m benchmarks.kernels                                  all networks' layers, both cores, both compilers
    python -m benchmarks.kernels --network ic --core cortex-m7 --json cycles.json
    python -m benchmarks.kernels --fit matmul_generated           new costs for quantmcu/codegen/kernels/matmul_cost.py

Cycles of the core alone (no wait states), one call of the layer. Every output is compared with the reference.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.layers import LAYERS, Layer
from quantmcu.codegen.kernel import Core, Kernel, StepContext
from quantmcu.codegen.kernels.matmul_cost import CORRECTION_COSTS, GENERATED_COSTS, work_of_pairs, work_of_plan
from quantmcu.codegen.kernels.matmul_generated import best_plan
from quantmcu.codegen.kernels.matmul_layout import Geometry
from quantmcu.codegen.kernels.matmul_plan import Plan
from quantmcu.codegen.registry import all_kernels
from quantmcu.codegen.single_step import build_image, run_on_machine, source_paths, unpack_codes
from quantmcu.emulator.elf import Elf
from quantmcu.emulator.function import CallResult, FunctionMachine
from quantmcu.emulator.objects import compile_for_core, compilers
from quantmcu.emulator.timing import CycleModel
from quantmcu.program.steps import Convolution
from quantmcu.reference import execute_step
from quantmcu.resources import data_folder

CORES = {name: Core(name, has_dsp=True, has_fpu=True) for name in ("cortex-m4", "cortex-m7")}
FLAGS = ("-std=c11", "-O2")


@dataclass(frozen=True)
class Measurement:
    """One kernel on one layer; `code_bytes`: of all functions that the layer needs."""

    network: str
    layer: str
    kernel: str
    core: str
    compiler: str
    macs: int
    repeats: int
    cycles: int
    predicted: float
    code_bytes: int
    scratch_bytes: int
    stack_bytes: int


def compile_steps(steps: Sequence[tuple[Kernel, StepContext]], compiler: str) -> bytes:
    """ELF file with all that these steps of one core need."""
    libc = data_folder("firmware") / "ports" / "libc"
    kernels = data_folder("firmware") / "kernels"
    core = steps[0][1].core
    with tempfile.TemporaryDirectory(prefix="quantmcu-") as name:
        found = {path for kernel, context in steps for path in source_paths(kernel.lower(context), Path(name))}
        sources = [*sorted(found), libc / "string.c"]
        return compile_for_core(sources, core.name, (*FLAGS, f"-I{libc}", f"-I{kernels}"), compiler)


def run_step(
    elf: bytes, kernel: Kernel, context: StepContext, codes: NDArray[np.uint8], model: CycleModel | str = "core"
) -> list[CallResult]:
    """Runs a step once.

    Raises:
        AssertionError: the output differs from the reference.
    """
    machine = FunctionMachine(elf, context.core.name, model=model)
    data, results = run_on_machine(machine, build_image(kernel, context, [codes], 4))
    expected = execute_step(context.step, [codes], context.output.shape)
    np.testing.assert_array_equal(unpack_codes(context.output, data), expected)
    return results


def code_bytes(elf: bytes) -> int:
    """Of all functions."""
    return sum(function.size for function in Elf(elf).functions)


def measure(kernel: Kernel, layer: Layer, core: Core, compiler: str) -> Measurement:
    """Runs the layer once.

    Raises:
        AssertionError: the output differs from the reference.
    """
    context, codes = layer.context(core)
    elf = compile_steps([(kernel, context)], compiler)
    results = run_step(elf, kernel, context, codes)
    return Measurement(
        network=layer.network,
        layer=layer.title,
        kernel=kernel.name,
        core=core.name,
        compiler=compiler,
        macs=layer.macs,
        repeats=layer.repeats,
        cycles=sum(result.cycles for result in results),
        predicted=kernel.cycles(context),
        code_bytes=code_bytes(elf),
        scratch_bytes=kernel.scratch_bytes(context),
        stack_bytes=max(result.stack_bytes for result in results),
    )


def measurements(arguments: argparse.Namespace, console: Console) -> Iterator[Measurement]:
    """All that the arguments ask for."""
    for layer in layers(arguments):
        for core in (core for name, core in CORES.items() if arguments.core in (None, name)):
            context, _ = layer.context(core)
            for kernel in _kernels(context, arguments.kernel):
                for compiler in (name for name in compilers() if arguments.compiler in (None, name)):
                    console.print(f"{layer.title}, {kernel.name}, {core.name}, {compiler}", end="\r", highlight=False)
                    yield measure(kernel, layer, core, compiler)


def layers(arguments: argparse.Namespace) -> list[Layer]:
    """The layers that the arguments ask for."""
    of_network = [layer for layer in LAYERS if arguments.network in (None, layer.network)]
    return [replace(layer, weight_bits=arguments.weight_bits) for layer in of_network]


def _kernels(context: StepContext, name: str | None) -> list[Kernel]:
    """Kernels for a step; without a name those for the DSP instructions only."""
    fitting = (k for k in all_kernels() if k.step_type is Convolution and k.unsupported(context) is None)
    return [k for k in fitting if k.name == name or (name is None and k.name.endswith(("_dsp", "_generated")))]


def table(found: list[Measurement]) -> Table:
    """Cycles per MAC by layer; a column for each core and compiler."""
    columns = sorted({(m.core, m.compiler) for m in found})
    result = Table(title="cycles per MAC (prediction), core alone")
    for name in ("network", "layer", "kernel"):
        result.add_column(name)
    for core, compiler in columns:
        result.add_column(f"{core}\n{compiler}", justify="right")
    result.add_column("code", justify="right")
    result.add_column("scratch", justify="right")
    rows: dict[tuple[str, str, str], dict[tuple[str, str], Measurement]] = {}
    for m in found:
        rows.setdefault((m.network, m.layer, m.kernel), {})[m.core, m.compiler] = m
    for key, cells in rows.items():
        texts = [
            f"{cells[c].cycles / cells[c].macs:.3f} ({cells[c].predicted / cells[c].macs:.3f})" if c in cells else ""
            for c in columns
        ]
        code = min(m.code_bytes for m in cells.values())  # zig adds its whole run-time library
        result.add_row(*key, *texts, f"{code:,}", f"{max(m.scratch_bytes for m in cells.values()):,}")
    for network, kernel in dict.fromkeys((m.network, m.kernel) for m in found):
        texts = []
        for c in columns:
            parts = [m for m in found if (m.network, m.kernel, m.core, m.compiler) == (network, kernel, *c)]
            macs = sum(m.macs * m.repeats for m in parts)
            texts.append(f"{sum(m.cycles * m.repeats for m in parts) / macs:.3f}" if macs else "")
        result.add_row(network, "[bold]all of them[/bold]", kernel, *texts, style="bold")
    return result


def _work(context: StepContext, kernel: str) -> Mapping[str, float]:
    if kernel == "matmul_dsp":
        return work_of_pairs(Geometry.of(context))
    plan = best_plan(context)
    assert isinstance(plan, Plan)
    return work_of_plan(plan)


def fit(found: list[Measurement], layers: list[Layer], kernel: str, core: Core) -> tuple[dict[str, float], float]:
    """Costs of a kernel from measurements, see `fit_costs`; with 4-bit weights, only the costs of what they add."""
    contexts = {layer.title: layer.context(core)[0] for layer in layers}
    mine = [m for m in found if (m.kernel, m.core) == (kernel, core.name)]
    works = [_work(contexts[m.layer], kernel) for m in mine]
    known = {}
    if any(layer.weight_bits < 8 for layer in layers):
        known = {k: v for k, v in GENERATED_COSTS[core.name].items() if k not in CORRECTION_COSTS[core.name]}
    return fit_costs(works, [m.cycles for m in mine], known)


def fit_costs(
    works: Sequence[Mapping[str, float]], cycles: Sequence[int], known: Mapping[str, float] | None = None
) -> tuple[dict[str, float], float]:
    """Costs that minimise the relative errors, all at least 0, and the largest relative error with them.

    Args:
        works: counts of work by kind, of each measurement.
        cycles: measured.
        known: costs that stay as they are.
    """
    known = known or {}
    kinds = [kind for kind in works[0] if kind not in known]
    fixed = np.array([sum(known[kind] * work[kind] for kind in work if kind in known) for work in works]) / cycles
    matrix = np.array([[work[kind] / count for kind in kinds] for work, count in zip(works, cycles, strict=True)])
    costs = _non_negative_least_squares(matrix, 1 - fixed)
    error = float(np.abs(matrix @ costs + fixed - 1).max())
    return dict(zip(kinds, np.round(costs, 3).tolist(), strict=True)), error


def _non_negative_least_squares(matrix: np.ndarray, target: np.ndarray) -> np.ndarray:
    """x >= 0 with matrix @ x near `target`: leaves out the most negative unknown until there is none."""
    kept = np.ones(matrix.shape[1], bool)
    result = np.zeros(matrix.shape[1])
    while True:
        solution: np.ndarray = np.linalg.lstsq(matrix[:, kept], target, rcond=None)[0]
        if solution.min() >= 0:
            result[kept] = solution
            return result
        kept[np.flatnonzero(kept)[solution.argmin()]] = False


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=sorted({layer.network for layer in LAYERS}))
    parser.add_argument("--core", choices=list(CORES))
    parser.add_argument("--compiler", choices=compilers())
    parser.add_argument("--kernel", help="its name; default: all kernels of DSP instructions")
    parser.add_argument("--weight-bits", type=int, choices=[8, 4], default=8)
    parser.add_argument("--json", type=Path, help="write the measurements to this file")
    parser.add_argument("--fit", choices=["matmul_dsp", "matmul_generated"], help="fit the costs of this kernel")
    arguments = parser.parse_args()
    arguments.kernel = arguments.fit or arguments.kernel
    console = Console(stderr=True)
    found = list(measurements(arguments, console))
    Console(width=200).print(table(found))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(m) for m in found], indent=1) + "\n")
    report: Callable[[object], None] = Console(width=100).print
    for name, core in CORES.items():
        if arguments.fit and arguments.core in (None, name):
            costs, error = fit(found, layers(arguments), arguments.fit, core)
            report({name: costs})
            report(f"largest relative error {error:.1%}")


if __name__ == "__main__":
    main()
