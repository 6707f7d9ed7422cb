"""Bits of feature maps: VDQS, or as a baseline gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from quantmcu.bitwidths.network import QuantizedNetwork
from quantmcu.bitwidths.request import BitsRequest
from quantmcu.bitwidths.workspace import Workspace
from quantmcu.codegen.kernel import Core
from quantmcu.codegen.map_cycles import map_cycles
from quantmcu.patch.candidate import Candidate
from quantmcu.program.bitops import bitops_of_a_bit, program_bitops
from quantmcu.program.program import Program
from quantmcu.program.stages import PatchStage
from quantmcu.quant.map_costs import FeatureMap, feature_maps
from quantmcu.quant.map_memory import TimelineMemory
from quantmcu.quant.vdqs import scores_of, search_bits, tensor_bits

BitsOf = Callable[[Sequence[FeatureMap]], Mapping[str, int]]
"""Gives feature maps their bits, by name."""


def with_map_bits(workspace: Workspace, network: QuantizedNetwork, request: BitsRequest) -> QuantizedNetwork:
    """VDQS over all maps, with the costs and the memory of the plan that 8 bits would get.

    Where patches have two classes, the maps inside the stage are those of the narrow one.
    """
    candidate, maps = _choice(workspace, network, request.cost, request.candidates)
    measured = workspace.map_losses(maps) if request.information == "measured" else {}
    graph = workspace.graph
    channels = {name: tensor.shape[-1] for name, tensor in graph.tensors.items() if tensor.shape}
    memory = TimelineMemory(candidate.timeline, maps, channels, [stage.name for stage in stages_of(candidate)])
    found = search_bits(
        maps,
        scores_of(maps, request.lam, request.information, measured),
        memory=memory,
        memory_limit=workspace.budget.arena_bytes,
    )
    search = {
        "lambda": request.lam,
        "information": request.information,
        "cost": request.cost,
        "bitops_of_8_bit_maps": program_bitops(candidate.program),
        "cycles_of_8_bit_maps": round(candidate.cycles),
        "peak_bytes": found.peak_bytes,
        "maps": [
            {"map": m.name, "bits": found.bits[m.name], "score": round(found.scores[m.name, found.bits[m.name]], 6)}
            for m in maps
        ],
    }
    bits = tensor_bits(maps, found.bits)
    return QuantizedNetwork.of(workspace.with_maps(network.graph, bits), bits, search)


def with_assigned_maps(
    workspace: Workspace, network: QuantizedNetwork, bits_of: BitsOf, candidates: Sequence[int]
) -> QuantizedNetwork:
    """Maps have the bits of `candidates` that `bits_of` gives them; their costs are BitOPs."""
    _, maps = _choice(workspace, network, "bitops", candidates)
    bits = tensor_bits(maps, bits_of(maps))
    return QuantizedNetwork.of(workspace.with_maps(network.graph, bits), bits)


def _choice(
    workspace: Workspace, network: QuantizedNetwork, cost: str, candidates: Sequence[int]
) -> tuple[Candidate, tuple[FeatureMap, ...]]:
    """How 8-bit maps would run, and the maps whose bits can be chosen, with their costs."""
    candidate, division = workspace.uniform_candidate(network), workspace.division
    calibration = workspace.calibration if division is None else division.narrow_calibration
    fixed = stitched_maps(candidate) if division is None else division.fixed
    costs = _map_costs(candidate.program, cost, Core.of(workspace.board), candidates)
    return candidate, feature_maps(workspace.graph, calibration, costs, candidates=candidates, fixed=fixed)


def stages_of(candidate: Candidate) -> list[PatchStage]:
    """The patch stages."""
    return [step for step in candidate.program.steps if isinstance(step, PatchStage)]


def stitched_maps(candidate: Candidate) -> frozenset[str]:
    """The outputs of patch stages, which keep 8 bits."""
    return frozenset(name for stage in stages_of(candidate) for name in stage.outputs)


def _map_costs(
    program: Program, cost: str, core: Core, candidates: Sequence[int]
) -> Mapping[tuple[str, int], float]:
    """BitOPs or predicted cycles by tensor and bits."""
    if cost == "cycles":
        return map_cycles(program, core, candidates)
    return {(n, bits): float(c * bits) for n, c in bitops_of_a_bit(program).items() for bits in candidates}
