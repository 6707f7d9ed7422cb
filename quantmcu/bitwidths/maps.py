"""Bits of feature maps: VDQS, or as a baseline gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from quantmcu.bitwidths.network import QuantizedNetwork
from quantmcu.bitwidths.request import BitsRequest
from quantmcu.bitwidths.workspace import Workspace
from quantmcu.codegen.kernel import Core
from quantmcu.codegen.map_cycles import MapCycles
from quantmcu.patch.candidate import Candidate
from quantmcu.program.bitops import bitops_of_a_bit, program_bitops
from quantmcu.program.stages import PatchStage
from quantmcu.quant.map_costs import FeatureMap, feature_maps
from quantmcu.quant.map_memory import TimelineMemory
from quantmcu.quant.vdqs import Score, scores_of, search_bits, tensor_bits, uniform_bits

BitsOf = Callable[[Sequence[FeatureMap]], Mapping[str, int]]
"""Gives feature maps their bits, by name."""


def with_map_bits(workspace: Workspace, network: QuantizedNetwork, request: BitsRequest) -> QuantizedNetwork:
    """VDQS over all maps, with the costs and the memory of the plan that 8 bits would get.

    Where patches have two classes, the maps inside the stage are those of the narrow one. Otherwise, where VDQS saves
    predicted cycles, maps keep 8 bits if the exact plan with fewer is no faster than a plan of 8 bits that fits.
    """
    eight = workspace.uniform_candidate(network)
    search = MapSearch(workspace, network, request, eight, stitched_maps(eight))
    found = search.within(workspace.budget.arena_bytes)
    if request.cost != "cycles" or not found.map_bits or workspace.division is not None:
        return found
    reason = why_8_bits(workspace, network, found)
    return found if reason is None else replace(network, search=search.described | {"decision": reason})


def why_8_bits(workspace: Workspace, network: QuantizedNetwork, found: QuantizedNetwork) -> str | None:
    """Why `network`, which has 8-bit maps, is kept: the exact plan of `found` is no faster. A note says so too.

    None: it is faster, or maps of 8 bits don't fit.
    """
    eight, narrow = workspace.plan(network), workspace.plan(found)
    if found is network or narrow.candidate.cycles < eight.candidate.cycles or eight.overflow is not None:
        return None
    layers = sum(bits < network.weight_bits.get(name, 8) for name, bits in found.weight_bits.items())
    reason = (
        f"maps keep 8 bits: with fewer in {sum(m['bits'] < 8 for m in found.search['maps'])} of them "
        f"{f'and in the weights of {layers} layers ' if layers else ''}the plan is predicted to take "
        f"{narrow.candidate.cycles:,.0f} cycles, with 8 bits {eight.candidate.cycles:,.0f}"
    )
    workspace.clock.note(reason)
    return reason


def with_assigned_maps(
    workspace: Workspace, network: QuantizedNetwork, bits_of: BitsOf, candidates: Sequence[int]
) -> QuantizedNetwork:
    """Maps have the bits of `candidates` that `bits_of` gives them; their costs are BitOPs."""
    eight = workspace.uniform_candidate(network)
    maps = maps_of(workspace, eight, candidates, stitched_maps(eight))
    bits = tensor_bits(maps, bits_of(maps))
    return QuantizedNetwork.of(workspace.with_maps(network.graph, bits), bits)


@dataclass(frozen=True, eq=False)
class MapSearch:
    """VDQS over the maps of `network`, which have 8 bits.

    Attributes:
        candidate: how it runs with 8 bits, which says what maps cost and when they live.
        fixed: tensors that keep 8 bits, beside the network's inputs and outputs.
    """

    workspace: Workspace
    network: QuantizedNetwork
    request: BitsRequest
    candidate: Candidate
    fixed: frozenset[str] = frozenset()

    def within(self, limit: int) -> QuantizedNetwork:
        """The network with at most `limit` bytes of RAM for feature maps, as far as the model of memory knows."""
        return self.with_bits(search_bits(self._maps, self.score, memory=self._memory, memory_limit=limit).bits)

    def uniform(self, bits: int) -> QuantizedNetwork:
        """The network with all maps of so many bits."""
        return self.with_bits(uniform_bits(self._maps, bits))

    def with_bits(self, chosen: Mapping[str, int]) -> QuantizedNetwork:
        """The network with maps of these bits, by name."""
        bits = tensor_bits(self._maps, chosen)
        search = self.described | {
            "peak_bytes": max(self._memory.live_bytes(chosen), default=0),
            "maps": [
                {"map": m.name, "bits": chosen[m.name], "score": round(self.score.of(m.name, chosen), 6)}
                for m in self._maps
            ],
        }
        return QuantizedNetwork.of(self.workspace.with_maps(self.network.graph, bits), bits, search)

    @property
    def described(self) -> dict[str, object]:
        """For result.json: what is asked for, and what 8-bit maps cost."""
        return {
            "lambda": self.request.lam,
            "information": self.request.information,
            "cost": self.request.cost,
            "bitops_of_8_bit_maps": program_bitops(self.candidate.program),
            "cycles_of_8_bit_maps": round(self.candidate.cycles),
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Of the maps whose bits can be chosen."""
        return tuple(m.name for m in self._maps)

    @cached_property
    def _maps(self) -> tuple[FeatureMap, ...]:
        return maps_of(self.workspace, self.candidate, self.request.candidates, self.fixed)

    @cached_property
    def score(self) -> Score:
        """Of the maps."""
        maps, request = self._maps, self.request
        measured = self.workspace.map_losses(maps) if request.information == "measured" else {}
        costs = None
        if request.cost == "cycles":
            owners = {name: m.name for m in maps for name in m.names}
            core = Core.of(self.workspace.board, self.workspace.optimize)
            costs = MapCycles(self.candidate.program, core, owners)
        return scores_of(maps, request.lam, request.information, measured, costs)

    @cached_property
    def _memory(self) -> TimelineMemory:
        channels = {name: tensor.shape[-1] for name, tensor in self.workspace.graph.tensors.items() if tensor.shape}
        stages = [stage.name for stage in stages_of(self.candidate)]
        return TimelineMemory(self.candidate.timeline, self._maps, channels, stages)


def maps_of(
    workspace: Workspace, candidate: Candidate, candidates: Sequence[int], fixed: frozenset[str]
) -> tuple[FeatureMap, ...]:
    """The maps whose bits can be chosen, with their BitOPs where 8-bit maps run as `candidate` does."""
    division = workspace.division
    calibration = workspace.calibration if division is None else division.narrow_calibration
    kept = fixed if division is None else division.fixed
    bitops = {(n, bits): float(c * bits) for n, c in bitops_of_a_bit(candidate.program).items() for bits in candidates}
    return feature_maps(workspace.graph, calibration, bitops, candidates=candidates, fixed=kept)


def stages_of(candidate: Candidate) -> list[PatchStage]:
    """The patch stages."""
    return [step for step in candidate.program.steps if isinstance(step, PatchStage)]


def stitched_maps(candidate: Candidate) -> frozenset[str]:
    """The outputs of patch stages, which keep 8 bits."""
    return frozenset(name for stage in stages_of(candidate) for name in stage.outputs)
