"""What a choice of bits costs on the board: BitOPs, predicted cycles, RAM, flash."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quantmcu.codegen.emit import EmittedModel, emit_model
from quantmcu.codegen.select import AnySelection, StageSelection, flat, predicted_cycles
from quantmcu.divided import DividedNetwork
from quantmcu.memory.budget import budget_of
from quantmcu.patch.request import PatchRequest
from quantmcu.planning import PlannedNetwork, choose_plan
from quantmcu.program import steps
from quantmcu.program.macs import step_macs
from quantmcu.program.program import Program
from quantmcu.targets import Board
from quantmcu.vdpc import averaged

ByLayer = Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Planned:
    """A network as it would run.

    Attributes:
        planned: kernels and memory.
        emitted: its C.
        board: with more flash than the real one has where the weights need it (`fits` is False then).
        shares: by cell of the stage, how often it is of the outlier class.
    """

    planned: PlannedNetwork
    emitted: EmittedModel
    board: Board
    fits: bool
    shares: Sequence[float] = ()

    @property
    def selections(self) -> Sequence[AnySelection]:
        """Kernels, as often as they run on average."""
        return averaged(self.planned.candidate.selections, self.shares)

    @property
    def worst(self) -> Sequence[AnySelection]:
        """Kernels where every patch is of the outlier class."""
        return averaged(self.planned.candidate.selections, [1.0] * len(self.shares))

    def describe(self, stage: frozenset[str]) -> dict[str, Any]:
        """Figures for a row; `stage`: the layers whose BitOPs are summed apart."""
        chosen = self.planned.candidate
        average, worst = bitops_by_layer(self.selections), bitops_by_layer(self.worst)
        return {
            **described_bitops(average, stage),
            "worst_bitops": round(sum(worst.values())),
            "cycles": round(predicted_cycles(self.selections)),
            "worst_cycles": round(chosen.cycles),
            "arena_bytes": chosen.arena_bytes,
            "constant_bytes": self.emitted.constant_bytes,
            "fits": self.fits,
        }


def described_bitops(by_layer: ByLayer, stage: frozenset[str]) -> dict[str, Any]:
    """BitOPs of the network, and of the layers of the stage."""
    inside = sum(count for layer, count in by_layer.items() if layer in stage)
    return {"bitops": round(sum(by_layer.values())), "stage_bitops": round(inside)}


def plan_program(program: Program, board: Board, ample: Board, patches: PatchRequest, missing: int = 0) -> Planned:
    """The plan that `compile` takes for `board`, or for `ample` (more flash) where the weights exceed its flash.

    Planned for too little flash, kernels would give up speed for room that does not suffice anyway. `missing`: bytes of
    the board's flash that the linker has missed.
    """
    layers = [step for step in program.steps if isinstance(step, steps.Convolution)]
    stored = sum(step.weight.size * step.weight_bits // 8 for step in layers)
    for target in (board, ample):
        budget = budget_of(target).with_less_flash(missing if target is board else 0)
        if target is ample or stored <= budget.constant_bytes:
            planned = choose_plan(program, target, budget, patches, may_overflow=True)
            emitted = _emitted(planned)
            if emitted.constant_bytes <= budget.constant_bytes:
                break
    return Planned(planned, emitted, target, target is board and planned.overflow is None)


def plan_divided(divided: DividedNetwork, board: Board) -> Planned:
    """The same with patches of two classes.

    Raises:
        QuantMCUError: it does not fit.
    """
    planned = divided.plan(board, budget_of(board))
    return Planned(planned, _emitted(planned), board, True, divided.division.shares)


def _emitted(planned: PlannedNetwork) -> EmittedModel:
    chosen = planned.candidate
    return emit_model(chosen.program, chosen.selections, chosen.timeline, planned.memory)


def bitops_by_layer(selections: Sequence[AnySelection]) -> dict[str, float]:
    """Multiply-accumulates times the bits of both factors, by layer."""
    found: defaultdict[str, float] = defaultdict(float)
    for selection in flat(selections):
        for context, runs in selection.geometries:
            step = context.step
            if isinstance(step, steps.Convolution):
                found[step.layer] += runs * step_macs(step, context.output) * step.weight_bits * context.inputs[0].bits
    return found


def bitops_as_planned(program: Program, eight: ByLayer) -> ByLayer:
    """BitOPs of `program` with the multiply-accumulates of the plan for 8 bits, whose BitOPs are `eight`."""
    bits = {
        step.layer: step.weight_bits * program.input_values(step)[0].bits
        for step in program.steps
        if isinstance(step, steps.Convolution)
    }
    return {layer: count / 64 * bits[layer] for layer, count in eight.items()}


def stage_layers(selections: Sequence[AnySelection]) -> frozenset[str]:
    """The layers in patch stages that have weights."""
    return frozenset(bitops_by_layer([item for item in selections if isinstance(item, StageSelection)]))
