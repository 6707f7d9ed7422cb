"""What result.json and `quantmcu plan --json` say about patch stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from quantmcu.branch_data import describe_branches
from quantmcu.codegen.select import AnySelection, Selection, StageSelection, copy_cycles, flat, predicted_cycles
from quantmcu.patch.candidate import Candidate
from quantmcu.patch.stage import StagePlan, split_program
from quantmcu.planning import PlannedNetwork
from quantmcu.program import steps
from quantmcu.program.added_names import load_name
from quantmcu.program.macs import program_macs, step_macs
from quantmcu.program.program import Program
from quantmcu.program.stages import PatchStage
from quantmcu.stage_data import describe_regions
from quantmcu.vdpc import averaged

if TYPE_CHECKING:
    from quantmcu.divided import DividedNetwork


def describe_plan(planned: PlannedNetwork, program: Program, classes: DividedNetwork | None = None) -> dict[str, Any]:
    """The plan of a compiled network; `program` is the one without stages, `classes` those of its patches.

    Of several stages, the first stands for all.
    """
    shares = () if classes is None else classes.division.shares
    candidate = planned.candidate
    described = describe_candidate(candidate, planned.layers)
    regions = describe_regions(recomputing(candidate, program))
    return described | {
        "stages": [stage | drawn for stage, drawn in zip(described["stages"], regions, strict=True)],
        "stage_macs": _stage_macs(candidate.selections),
        "stage_macs_unsplit": _unsplit_macs(candidate, program),
        "channel_parts": candidate.channel_parts,
        "branches": describe_branches(candidate.program, shares),
        "average_cycles": round(predicted_cycles(averaged(candidate.selections, shares))),
        "vdpc": None if classes is None else classes.describe(),
    }


def describe_candidate(candidate: Candidate, layers: Candidate) -> dict[str, Any]:
    """One way to run the network, against running it layer by layer."""
    ends = {
        step.order[-1]: candidate.program.values[step.output].shape
        for step in candidate.program.steps
        if isinstance(step, PatchStage)
    }
    stages = [
        {
            "after": plan.after,
            "split_at": plan.last,
            "grid": list(plan.grid),
            "halo_mode": mode,
            "shape": list(ends[plan.last]),
        }
        for plan, mode in zip(candidate.stages, candidate.halo_modes, strict=True)
    ]
    first = stages[0] if stages else {"split_at": None, "grid": [1, 1], "halo_mode": None}
    peak = candidate.timeline.slots[candidate.peak_slot].name if candidate.timeline.slots else ""
    return {
        "split_at": first["split_at"],
        "grid": first["grid"],
        "halo_mode": first["halo_mode"],
        "stages": stages,
        "input_on_demand": bool(candidate.program.on_demand),
        "arena_bytes": candidate.arena_bytes,
        "arena_bytes_without_input": candidate.arena_bytes_without_input,
        "macs": candidate.macs,
        "mac_factor": round(candidate.macs / layers.macs, 4) if layers.macs else 1.0,
        "cycles": round(candidate.cycles),
        "cycle_factor": round(candidate.cycles / layers.cycles, 4) if layers.cycles else 1.0,
        "peak_step": peak,
    }


def describe_bitops(
    planned: PlannedNetwork, program: Program, classes: DividedNetwork | None = None
) -> dict[str, Any]:
    """MACs x weight bits x input bits (docs/numerics.md), and the same at 8 bit without and with recomputed halos.

    Where classes are decided at run time, the worst case (every patch has 8 bits), and the average.
    """
    selections = planned.candidate.selections
    shares = () if classes is None else classes.division.shares
    worst = averaged(selections, [1.0] * len(shares))
    total, average = (_bitops(flat(items)) for items in (worst, averaged(selections, shares)))
    recomputed = 64 * recompute_macs(planned.candidate, program)
    return {
        "total": total,
        "average": average,
        "average_reduction_vs_uniform8_patched": round(recomputed / average, 4) if average else None,
        "patch_stage": _bitops(flat([item for item in worst if isinstance(item, StageSelection)])),
        "uniform8_patched": recomputed,
        "uniform8_unpatched": 64 * program_macs(program),
        "reduction_vs_uniform8_patched": round(recomputed / total, 4) if total else None,
    }


def load_steps(item: StageSelection, program: Program) -> list[dict[str, Any]]:
    """The slots in which a stage loads its inputs, described as steps."""
    rows = []
    for name in item.stage.inputs:
        value = program.values[name]
        loaded = sum(cell.fresh(name).nbytes for cell in item.stage.cells if name in cell.values)
        rows.append(
            {
                "name": load_name(item.stage.name, name),
                "layer": item.stage.layer,
                "operator": "Load",
                "kernel": "asked for on demand" if name in program.on_demand else "copy",
                "shape": list(value.shape),
                "input_bits": [value.bits],
                "weight_bits": None,
                "output": name,
                "output_bits": value.bits,
                "patches": len(item.stage.cells),
                "macs": 0,
                "scratch_bytes": 0,
                "predicted_cycles": 0 if name in program.on_demand else round(copy_cycles(loaded)),
            }
        )
    return rows


def _bitops(selections: Sequence[Selection]) -> int:
    return round(
        sum(
            runs * step_macs(context.step, context.output) * context.step.weight_bits * context.inputs[0].bits
            for selection in selections
            for context, runs in selection.geometries
            if isinstance(context.step, steps.Convolution)
        )
    )


def _stage_macs(selections: Sequence[AnySelection]) -> int:
    return sum(s.macs for s in flat([item for item in selections if isinstance(item, StageSelection)]))


def _unsplit_macs(candidate: Candidate, program: Program) -> int:
    """MACs of the steps that are in stages, each computed once."""
    inside = {name for item in candidate.selections if isinstance(item, StageSelection) for name in item.stage.order}
    return sum(step_macs(step, program.output_value(step)) for step in program.steps if step.name in inside)


def recomputing(candidate: Candidate, program: Program) -> Program:
    """`program` with the candidate's stages and grids where every cell computes its whole halo again."""
    plans = [StagePlan(plan.last, plan.grid, frozenset(), plan.after) for plan in candidate.stages]
    return split_program(program, plans)


def recompute_macs(candidate: Candidate, program: Program) -> int:
    """MACs with the same stages and grids where every cell computes its whole halo again."""
    if not candidate.stages:
        return program_macs(program)
    split = recomputing(candidate, program)
    stages = [step for step in split.steps if isinstance(step, PatchStage)]
    inside = sum(
        step_macs(step, cell.fresh(step.output))
        for stage in stages
        for cell in stage.cells
        for step in cell.steps.values()
    )
    return inside + sum(step_macs(step, split.output_value(step)) for step in split.steps if step not in stages)
