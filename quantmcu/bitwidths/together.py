"""Bits of weights and of feature maps lowered together, until the network takes as few BitOPs or cycles as wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from quantmcu.bitwidths.maps import maps_of, stitched_maps, why_8_bits
from quantmcu.bitwidths.network import QuantizedNetwork, layers_of
from quantmcu.bitwidths.request import BitsRequest
from quantmcu.bitwidths.workspace import Workspace
from quantmcu.codegen.joint_cycles import JointCycles
from quantmcu.codegen.kernel import Core
from quantmcu.patch.candidate import Candidate
from quantmcu.patch.search import divided
from quantmcu.plan_data import recompute_macs
from quantmcu.program import steps
from quantmcu.program.bitops import executed_steps
from quantmcu.program.lower import lower
from quantmcu.program.macs import step_macs
from quantmcu.program.program import Program
from quantmcu.quant.joint import (
    JointBitops,
    JointBits,
    JointCosts,
    Product,
    lowered_step_by_step,
    paired_lowerings,
    single_lowerings,
)
from quantmcu.quant.map_costs import FeatureMap
from quantmcu.quant.vdqs import tensor_bits


def with_joint_bits(workspace: Workspace, network: QuantizedNetwork, request: BitsRequest) -> QuantizedNetwork:
    """Weights and maps of `network` lowered together, by measured losses, as far as `request` asks.

    By the least loss for each BitOP saved; or for each predicted cycle, where `request.cost` says so: then the network
    keeps what it has if the exact plan with fewer bits is no faster. Weights that have fewer than 8 bits already don't
    get more.
    """
    search = _JointSearch(workspace, network, request)
    found = search.found
    bits = tensor_bits(search.maps, {m.name: found.maps.get(m.name, 8) for m in search.maps})
    narrow = {name: count for name, count in found.weights.items() if count < network.weight_bits.get(name, 8)}
    graph = workspace.with_weights(workspace.with_maps(network.graph, bits), narrow)
    facts = search.described | {
        "bitops": search.bitops.total(found),
        "maps": [{"map": m.name, "bits": bits[m.name]} for m in search.maps],
    }
    chosen = QuantizedNetwork.of(graph, bits, facts)
    if request.cost == "bitops":
        return chosen
    if chosen.weight_bits == network.weight_bits and not chosen.map_bits:
        return replace(network, search=facts)
    reason = why_8_bits(workspace, network, chosen)
    return chosen if reason is None else replace(network, search=search.described | {"decision": reason})


@dataclass(frozen=True, eq=False)
class _JointSearch:
    """Weights and maps of `network` lowered together."""

    workspace: Workspace
    network: QuantizedNetwork
    request: BitsRequest

    @property
    def found(self) -> JointBits:
        """The first bits on the way down that reach what is asked for; else the last ones, and a note of BitOPs."""
        request = self.request
        key = ("joint", self.network.program, request.candidates, request.cost)
        way = self.workspace.once(key, lambda: list(self._way_down()))
        if request.speedup is not None:
            goal, target = self.costs, self.costs.total(way[0]) / request.speedup
        else:
            goal, target = self.bitops, self._recomputed / (request.reduction or 1.0)
        reached = next((bits for bits in way if goal.total(bits) <= target), None)
        if reached is None and goal is self.bitops:
            most = self._recomputed / self.bitops.total(way[-1])
            limit = "at most" if request.cost == "bitops" else "before fewer of them save no more predicted cycles"
            fewest = request.candidates[-1]
            self.workspace.clock.note(f"weights and maps of {fewest} bits give {most:.2f} times fewer BitOPs {limit}")
        return reached or way[-1]

    def _way_down(self) -> Iterator[JointBits]:
        """From the network's own bits."""
        options = self.workspace.weight_options(self.request.candidates[1:])
        losses = {(o.layer, o.bits): o.loss for o in options}, self.workspace.map_losses(self.maps)
        moves = single_lowerings(self._products, *losses)
        if self.request.cost == "cycles":
            moves += paired_lowerings(self._products, *losses)
        weights = {p.layer: self.network.weight_bits.get(p.layer, 8) for p in self._products}
        start = JointBits(weights, {m.name: 8 for m in self.maps} | {p.source: 8 for p in self._products})
        return lowered_step_by_step(start, moves, *losses, self.costs)

    @property
    def described(self) -> dict[str, object]:
        """For result.json: what 8 bits cost."""
        return {
            "cost": self.request.cost,
            "bitops_of_8_bit_recompute": self._recomputed,
            "cycles_of_8_bit_maps": round(self._candidate.cycles),
        }

    @cached_property
    def maps(self) -> tuple[FeatureMap, ...]:
        """The feature maps whose bits can be chosen."""
        return maps_of(self.workspace, self._candidate, self.request.candidates, stitched_maps(self._candidate))

    @cached_property
    def bitops(self) -> JointBitops:
        """BitOPs by bits."""
        return JointBitops(self._products)

    @cached_property
    def costs(self) -> JointCosts:
        """What is saved."""
        return self.bitops if self.request.cost == "bitops" else self._cycles()

    def _cycles(self) -> JointCycles:
        """Predicted cycles by bits, in the patches that 8-bit maps get."""
        workspace, candidate = self.workspace, self._candidate
        counts = {8, *self.request.candidates, *self.network.weight_bits.values()}

        def in_patches(bits: int) -> Program:
            program = lower(workspace.narrow_weights(bits))
            on_demand = bool(candidate.program.on_demand)
            return divided(program, candidate.stages, candidate.channel_parts, on_demand=on_demand)

        def work_out() -> JointCycles:
            return JointCycles(
                {bits: in_patches(bits) for bits in sorted(counts)},
                Core.of(workspace.board, workspace.optimize),
                self._owners,
                workspace.budget.network_bytes,
            )

        return workspace.once(("joint cycles", self.network.program, self.request.candidates), work_out)

    @cached_property
    def _candidate(self) -> Candidate:
        return self.workspace.uniform_candidate(self.network)

    @cached_property
    def _recomputed(self) -> int:
        return 64 * recompute_macs(self._candidate, self.network.program)

    @cached_property
    def _owners(self) -> dict[str, str]:
        return {name: m.name for m in self.maps for name in m.names}

    @cached_property
    def _products(self) -> list[Product]:
        """The layers with their MACs and the maps that they read."""
        macs = Counter[str]()
        for step, _, output in executed_steps(self._candidate.program):
            if isinstance(step, steps.Convolution):
                macs[step.layer] += step_macs(step, output)
        return [
            Product(op.name, macs[op.name], self._owners.get(op.inputs[0], op.inputs[0]))
            for op in layers_of(self.workspace.graph)
        ]
