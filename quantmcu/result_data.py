"""The content of result.json after a compilation (design: one contract for terminal, JSON and report)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import quantmcu
from quantmcu.build import BuildResult
from quantmcu.data import Dataset
from quantmcu.ir.macs import graph_macs, graph_parameters
from quantmcu.memory.budget import Budget
from quantmcu.program import steps
from quantmcu.program.macs import program_macs, step_macs
from quantmcu.program.program import Program, Value
from quantmcu.progress import StageClock
from quantmcu.results import SCHEMA
from quantmcu.targets import Board

if TYPE_CHECKING:
    from quantmcu.pipeline import CompiledNetwork


def describe(
    model_name: str,
    model_sha256: str,
    board: Board,
    budget: Budget,
    network: CompiledNetwork,
    dataset: Dataset,
    clock: StageClock,
    built: BuildResult | None,
) -> dict[str, Any]:
    """Everything that a compilation knows, ready for JSON."""
    program = network.program
    return {
        "schema": SCHEMA,
        "quantmcu": quantmcu.__version__,
        "model": {
            "name": model_name,
            "sha256": model_sha256,
            "program_sha256": program.sha256,
            "inputs": [_port(program, name, program.input_layouts, i) for i, name in enumerate(program.inputs)],
            "outputs": [_port(program, name, program.output_layouts, i) for i, name in enumerate(program.outputs)],
            "parameters": graph_parameters(network.graph),
            "macs": graph_macs(network.graph),
        },
        "board": {
            "id": board.id,
            "name": board.name,
            "core": board.core,
            "clock_hz": board.clock_hz,
            "flash_bytes": budget.flash_bytes,
            "ram_bytes": budget.ram_bytes,
        },
        "plan": {"split_at": None, "grid": [1, 1], "halo_mode": None, "stage_macs": 0, "stage_macs_unsplit": 0, "branches": []},
        "bitops": _bitops(program),
        "memory": _memory(network, board, budget, built),
        "steps": _steps(network),
        "calibration": {"data": dataset.description, "samples": len(dataset)},
        "compile": {
            "seconds": round(sum(clock.seconds.values()), 3),
            "seconds_by_stage": {name: round(seconds, 3) for name, seconds in clock.seconds.items()},
            "notes": clock.notes,
            "compiler": None if built is None else built.compiler,
            "flags": None if built is None else built.flags,
        },
    }


def _port(program: Program, name: str, layouts: tuple[tuple[int, ...] | None, ...], index: int) -> dict[str, Any]:
    value = program.values[name]
    layout = layouts[index] if index < len(layouts) else None
    return {
        "name": name,
        "shape": list(value.shape),
        "bits": value.bits,
        "bytes": value.nbytes,
        "scale": value.qparams.scale if value.qparams else 1.0,
        "zero_point": value.qparams.zero_point if value.qparams else 0,
        "axes_of_onnx": list(layout) if layout else None,
    }


def _bitops(program: Program) -> dict[str, Any]:
    """MACs x weight bits x input bits (docs/numerics.md), and the same at 8 bit."""
    total = sum(
        step_macs(step, program.output_value(step)) * step.weight_bits * program.input_values(step)[0].bits
        for step in program.steps
        if isinstance(step, steps.Convolution)
    )
    uniform = program_macs(program) * 64
    return {
        "total": total,
        "patch_stage": 0,
        "uniform8_patched": uniform,
        "uniform8_unpatched": uniform,
        "reduction_vs_uniform8_patched": round(uniform / total, 4) if total else None,
    }


def _memory(
    network: CompiledNetwork, board: Board, budget: Budget, built: BuildResult | None
) -> dict[str, Any]:
    plan, program = network.plan, network.program
    scratch = max((selection.memory.scratch_bytes for selection in network.selections), default=0)
    peak = program.steps[plan.peak_step]
    live = [b for b in plan.buffers if b.first <= plan.peak_step <= b.last]
    ports = [program.values[name] for name in (*program.inputs, *program.outputs)]
    memory: dict[str, Any] = {
        "arena_bytes": plan.arena_bytes,
        "arena_lower_bound_bytes": plan.lower_bound,
        "arena_by_region": plan.region_bytes,
        "arena_capacity_by_region": {region.name: region.capacity for region in budget.regions},
        "scratch_bytes": scratch,
        "stack_bytes": board.stack_bytes,
        "io_bytes": sum(value.nbytes for value in ports),
        "ram_total_bytes": plan.arena_bytes + board.stack_bytes,
        "weights_bytes": weights_bytes(network),
        "code_bytes": None,
        "flash_total_bytes": None,
        "peak_step": peak.name,
        "peak_live": [{"values": list(b.values) or ["scratch"], "bytes": b.nbytes} for b in live],
        "timeline": [
            {"step": step.name, "live_bytes": bytes_} for step, bytes_ in zip(program.steps, plan.live, strict=True)
        ],
    }
    if built is not None:
        memory |= _linked(built.elf, board)
    return memory


def weights_bytes(network: CompiledNetwork) -> int:
    """Bytes of weights, biases, multipliers and tables in flash."""
    lowered = (s.kernel.lower(s.context) for s in network.selections if s.kernel is not None)
    stored = {v.name: v.nbytes for s in network.selections for v in s.context.inputs if v.data is not None}
    return sum(c.data.nbytes for step in lowered for c in step.constants) + sum(stored.values())


def _linked(elf: Path, board: Board) -> dict[str, Any]:
    """What the linker made of it."""
    raise NotImplementedError


def _steps(network: CompiledNetwork) -> list[dict[str, Any]]:
    rows = []
    for selection in network.selections:
        if selection.kernel is None:
            continue
        step, output = selection.context.step, selection.context.output
        rows.append(
            {
                "name": step.name,
                "layer": step.layer or step.name,
                "operator": type(step).__name__,
                "kernel": selection.kernel.name,
                "shape": list(output.shape),
                "input_bits": [value.bits for value in selection.context.inputs],
                "weight_bits": getattr(step, "weight_bits", None),
                "output_bits": output.bits,
                "macs": step_macs(step, output),
                "scratch_bytes": selection.memory.scratch_bytes,
                "predicted_cycles": round(selection.cycles),
            }
        )
    return rows
