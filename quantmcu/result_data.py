"""The content of result.json after a compilation (design: one contract for terminal, JSON and report)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import quantmcu
from quantmcu.build import BuildResult
from quantmcu.build.size import firmware_size
from quantmcu.build.stack import require_stack
from quantmcu.codegen.bounds import selection_bound
from quantmcu.codegen.select import Selection, StageSelection, flat
from quantmcu.data import Dataset
from quantmcu.ir.macs import graph_macs, graph_parameters
from quantmcu.memory.budget import Budget
from quantmcu.memory.buffers import tenants_at
from quantmcu.memory.describe import describe_array
from quantmcu.plan_data import describe_bitops, describe_plan, load_steps
from quantmcu.program.program import Program
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
    input_format: str,
    clock: StageClock,
    built: BuildResult | None,
    image: str | None,
) -> dict[str, Any]:
    """Everything that a compilation knows, ready for JSON; `image` is the file of a calibration image, or None."""
    program, executed = network.program, network.planned.candidate.program
    return {
        "schema": SCHEMA,
        "quantmcu": quantmcu.__version__,
        "model": {
            "name": model_name,
            "sha256": model_sha256,
            "program_sha256": executed.sha256,
            "inputs": [_port(program, name, program.input_layouts, i) for i, name in enumerate(program.inputs)],
            "input_format": input_format,
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
        "plan": describe_plan(network.planned, program, network.classes),
        "bitops": describe_bitops(network.planned, program, network.classes),
        "memory": _memory(network, board, budget, built),
        "steps": _steps(network),
        "search": _search(network, clock),
        "calibration": {"data": dataset.description, "samples": len(dataset), "image": image},
        "compile": {
            "seconds": round(sum(clock.seconds.values()), 3),
            "seconds_by_stage": {name: round(seconds, 3) for name, seconds in clock.seconds.items()},
            "notes": clock.notes,
            "compiler": None if built is None else built.compiler,
            "flags": None if built is None else built.flags,
        },
    }


def _search(network: CompiledNetwork, clock: StageClock) -> dict[str, Any]:
    """What was searched for: bits, and classes of patches."""
    division = None if network.classes is None else network.classes.division
    searches = ("weight bits", "weight losses", "map bits", "map losses", "classes", "compare masks")
    return {
        **network.search,
        "seconds": round(sum(clock.seconds.get(name, 0.0) for name in searches), 3),
        "phi": None if division is None else division.request.phi,
        "outlier_fraction": None if division is None else round(division.share, 4),
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


def _memory(network: CompiledNetwork, board: Board, budget: Budget, built: BuildResult | None) -> dict[str, Any]:
    planned, program = network.planned, network.planned.candidate.program
    plan, slots = planned.memory, planned.candidate.timeline.slots
    scratch = max((selection.scratch_bytes for selection in flat(planned.candidate.selections)), default=0)
    ports = [program.values[name] for name in (*program.inputs, *program.outputs)]
    memory: dict[str, Any] = {
        "arena_bytes": plan.arena_bytes,
        "arena_lower_bound_bytes": plan.lower_bound,
        "arena_by_region": plan.region_bytes,
        "arena_capacity_by_region": {region.name: region.capacity for region in budget.regions},
        "scratch_bytes": scratch,
        "stack_bytes": board.stack_bytes,
        "io_bytes": sum(value.nbytes for value in ports if value.name not in program.on_demand),
        "arena_without_input_bytes": planned.candidate.arena_bytes_without_input,
        "ram_total_bytes": plan.arena_bytes + board.stack_bytes,
        "weights_bytes": network.emitted.constant_bytes,
        "code_bytes": None,
        "flash_total_bytes": None,
        "peak_step": slots[plan.peak_step].name,
        "peak_live": [
            {"values": [describe_array(tenant.name, planned.candidate.stage_names)], "bytes": tenant.nbytes}
            for tenant in tenants_at(plan.buffers, plan.peak_step)
        ],
        "timeline": [
            {"step": slot.name, "live_bytes": nbytes, "by_region": plan.live_by_region(index)}
            for index, (slot, nbytes) in enumerate(zip(slots, plan.live, strict=True))
        ],
    }
    if built is not None:
        memory |= _linked(built.elf, board) | require_stack(built.elf, board)
    return memory


def _linked(elf: Path, board: Board) -> dict[str, Any]:
    """What the linker made of it."""
    size = firmware_size(elf, board)
    return {
        "code_bytes": size.code,
        "network_code_bytes": size.network_code,
        "constants_bytes": size.constants,
        "data_bytes": size.data + size.bss,
        "flash_total_bytes": size.flash,
        "ram_total_bytes": size.ram,
        "regions": dict(size.regions),
    }


def _steps(network: CompiledNetwork) -> list[dict[str, Any]]:
    rows = []
    candidate = network.planned.candidate
    for item in candidate.selections:
        if isinstance(item, StageSelection):
            rows += load_steps(item, candidate.program)
        cells = len(item.stage.cells) if isinstance(item, StageSelection) else None
        rows += [_step(selection, cells) for selection in flat([item]) if selection.kernel is not None]
    return rows


def _step(selection: Selection, cells: int | None) -> dict[str, Any]:
    """A step of the network; `cells` of its patch stage, if it is in one."""
    step, context = selection.step, selection.context
    return {
        "name": step.name,
        "layer": step.layer or step.name,
        "operator": type(step).__name__,
        "kernel": selection.kernel_names,
        "shape": list(context.output.shape),
        "input_bits": [value.bits for value in context.inputs],
        "weight_bits": getattr(step, "weight_bits", None),
        "output": step.output,
        "output_bits": context.output.bits,
        "patches": cells,
        "macs": selection.macs,
        "scratch_bytes": selection.scratch_bytes,
        "predicted_cycles": round(selection.cycles),
        "theoretical_cycles": round(selection_bound(selection)),
    }
