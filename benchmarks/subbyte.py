"""Convolutions of 4 and 2 bits beside our own of 8 bits: cycles in the emulator, code and weights, one run.

    python -m benchmarks.subbyte                          the layers, both cores
    python -m benchmarks.subbyte --network mobilenetv2 --json cycles.json
    python -m benchmarks.subbyte --fit wide               new costs for quantmcu/codegen/kernels/outer_cost.py

w4a4: weights and both maps of 4 bits; w2a2 likewise; w2a8, w4a8: maps of 8 bits; dense: weights take no more
flash than their bits. Of 8 bits, the kernel that would be chosen. It is unproven whether SMLAL occupies Cortex-M7's
multiplier for one cycle or two: both are shown. Cycles of the core alone. Every output is compared with the reference.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.kernels import CORES, code_bytes, compile_steps, fit_costs, run_step
from benchmarks.layers import LAYERS, Layer
from quantmcu.codegen.kernel import Core, Kernel, StepContext
from quantmcu.codegen.kernels.convolution import convolution_of
from quantmcu.codegen.kernels.outer_cost import OUTER_COSTS, work_of_dense, work_of_outer
from quantmcu.codegen.kernels.outer_generated import PackedOuterGenerated, best_outer_plan
from quantmcu.codegen.kernels.outer_plan import OuterPlan
from quantmcu.codegen.optimize import constant_bytes
from quantmcu.codegen.registry import Facts, all_kernels, choose_kernel
from quantmcu.emulator.objects import compilers
from quantmcu.emulator.timing import cycle_model
from quantmcu.program.fixed_point import requantize_for

Bits = tuple[int, int]  # of weights and maps
Step = tuple[Layer, str, Kernel, StepContext, NDArray[np.uint8]]
MIXES: Mapping[str, Bits] = {"w4a4": (4, 4), "w2a2": (2, 2), "w2a8": (2, 8), "w4a8": (4, 8)}
_DEVIATION = {4: 2.7, 2: 0.75}  # of weights: normally distributed ones with scales of least squared error
_KERNELS = {
    "": "packed_outer_generated",
    " dense": "packed_outer_dense_generated",
    " dense, large": "packed_outer_dense_large_generated",
}


@dataclass(frozen=True)
class Measurement:
    """A layer with these bits; `slow_cycles` if SMLAL takes two cycles on Cortex-M7."""

    network: str
    layer: str
    bits: str
    kernel: str
    core: str
    macs: int
    cycles: int
    slow_cycles: int
    predicted: float
    code_bytes: int
    constant_bytes: int
    scratch_bytes: int


def narrow(layer: Layer, bits: Bits, core: Core) -> tuple[StepContext, NDArray[np.uint8]]:
    """The layer with random weights and maps of so many bits, and random codes."""
    context, codes = layer.context(core)
    weight_bits, map_bits = bits
    step, highest, limit = convolution_of(context), 2**map_bits - 1, 2 ** (weight_bits - 1) - 1
    random = np.random.default_rng(1)
    weight = np.clip(np.rint(random.normal(0, _DEVIATION[weight_bits], step.weight.shape)), -limit, limit)
    spread = highest / (np.sqrt(weight[0].size) * limit * highest)
    zero_point = (highest + 1) // 2
    step = replace(
        step,
        weight=weight.astype(np.int8),
        weight_bits=weight_bits,
        input_zero_point=zero_point,
        bias=(-zero_point * weight.sum(axis=(1, 2, 3))).astype(np.int32),
        requantize=requantize_for(random.uniform(0.3, 1, layer.outputs) * spread, 1, 0, highest),
    )
    values = [replace(value, bits=map_bits) for value in (context.inputs[0], context.output)]
    return StepContext(step, (values[0],), values[1], core), codes & np.uint8(highest)


def measure(kernel: Kernel, layer: Layer, bits: str, context: StepContext, codes: NDArray[np.uint8]) -> Measurement:
    """Runs the layer, on Cortex-M7 with both timings of SMLAL."""
    core = context.core.name
    elf = compile_steps([(kernel, context)], compilers()[0])
    cycles = [
        sum(r.cycles for r in run_step(elf, kernel, context, codes, cycle_model(core, long_multiply_cycles=count)))
        for count in ((1, 2) if core == "cortex-m7" else (1,))
    ]
    return Measurement(
        network=layer.network,
        layer=layer.title,
        bits=bits,
        kernel=kernel.name,
        core=core,
        macs=layer.macs,
        cycles=cycles[0],
        slow_cycles=cycles[-1],
        predicted=kernel.cycles(context),
        code_bytes=code_bytes(elf),
        constant_bytes=constant_bytes(kernel.lower(context)),
        scratch_bytes=kernel.scratch_bytes(context),
    )


def steps(arguments: argparse.Namespace) -> Iterator[Step]:
    """All that the arguments ask for."""
    by_name = {kernel.name: kernel for kernel in all_kernels()}
    kinds = {suffix: by_name[name] for suffix, name in _KERNELS.items() if _fits(arguments.fit, suffix)}
    for layer in (layer for layer in LAYERS if arguments.network in (None, layer.network) and not layer.depthwise):
        for core in (core for name, core in CORES.items() if arguments.core in (None, name)):
            if not arguments.fit:
                context, codes = layer.context(core)
                yield layer, "w8a8", choose_kernel([(context, 1)], Facts()), context, codes
            for name, bits in MIXES.items():
                context, codes = narrow(layer, bits, core)
                for suffix, kernel in kinds.items():
                    if kernel.unsupported(context) is None:
                        yield layer, name + suffix, kernel, context, codes


def _fits(fit: str | None, suffix: str) -> bool:
    return fit is None or (fit == "dense") == bool(suffix)


def table(found: list[Measurement]) -> Table:
    """Cycles per MAC, how much faster than 8 bits, bytes; a row for each layer and number of bits."""
    result = Table(title="cycles per MAC; in brackets: as many times faster than 8 bits")
    for name in ("network", "layer", "bits"):
        result.add_column(name)
    for name in ("M4", "M7", "M7, SMLAL in 2", "code", "constants", "scratch"):
        result.add_column(name, justify="right")
    rows: dict[tuple[str, str], dict[tuple[str, str], Measurement]] = {}
    for m in found:
        rows.setdefault((m.network, m.layer), {})[m.bits, m.core] = m
    for (network, layer), cells in rows.items():
        for bits in dict.fromkeys(bits for bits, _ in cells):
            texts = []
            for core, slow in (("cortex-m4", False), ("cortex-m7", False), ("cortex-m7", True)):
                m, reference = cells.get((bits, core)), cells.get(("w8a8", core))
                if m is None:
                    texts.append("")
                    continue
                cycles = m.slow_cycles if slow else m.cycles
                gain = f" ({reference.cycles / cycles:.2f})" if reference is not None and bits != "w8a8" else ""
                texts.append(f"{cycles / m.macs:.3f}{gain}")
            some = next(m for key, m in cells.items() if key[0] == bits)
            sizes = (f"{size:,}" for size in (some.code_bytes, some.constant_bytes, some.scratch_bytes))
            result.add_row(network, layer, bits, *texts, *sizes)
    return result


def report_fit(found: list[Step], dense: bool, console: Console) -> None:
    """Measures the steps of each core, compiled together, and prints costs; of dense weights what they add."""
    for core in CORES:
        mine = [(kernel, context, codes) for _, _, kernel, context, codes in found if context.core.name == core]
        if not mine:
            continue
        console.print(f"{core}: {len(mine)} layers", highlight=False)
        elf = compile_steps([(kernel, context) for kernel, context, _ in mine], compilers()[0])
        works, cycles = [], []
        for kernel, context, codes in mine:
            plan = best_outer_plan(context)
            assert isinstance(plan, OuterPlan)
            assert isinstance(kernel, PackedOuterGenerated)
            scratch = kernel.dense_scratch
            added = {} if scratch is None else work_of_dense(plan, context, scratch)
            works.append(work_of_outer(plan, context) | added)
            cycles.append(sum(result.cycles for result in run_step(elf, kernel, context, codes)))
        costs, error = fit_costs(works, cycles, OUTER_COSTS[core] if dense else None)
        Console(width=100).print({core: costs}, f"largest relative error {error:.1%} of {len(works)} layers")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=sorted({layer.network for layer in LAYERS}))
    parser.add_argument("--core", choices=list(CORES))
    parser.add_argument("--json", type=Path, help="write the measurements to this file")
    parser.add_argument("--fit", choices=["wide", "dense"], help="fit the costs, or those that dense weights add")
    arguments = parser.parse_args()
    console = Console(stderr=True)
    if arguments.fit:
        report_fit(list(steps(arguments)), arguments.fit == "dense", console)
        return
    found = []
    for layer, bits, kernel, context, codes in steps(arguments):
        console.print(f"{layer.title}, {bits}, {context.core.name}", end="\r", highlight=False)
        found.append(measure(kernel, layer, bits, context, codes))
    Console(width=160).print(table(found))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(m) for m in found], indent=1) + "\n")


if __name__ == "__main__":
    main()
