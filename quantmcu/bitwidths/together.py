"""Bits of weights and of feature maps lowered together, until the network takes as few BitOPs as wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from quantmcu.bitwidths.maps import maps_of, stitched_maps
from quantmcu.bitwidths.network import QuantizedNetwork, layers_of
from quantmcu.bitwidths.workspace import Workspace
from quantmcu.patch.candidate import Candidate
from quantmcu.plan_data import recompute_macs
from quantmcu.program import steps
from quantmcu.program.bitops import executed_steps
from quantmcu.program.macs import step_macs
from quantmcu.quant.joint import Product, lower_together
from quantmcu.quant.map_costs import FeatureMap
from quantmcu.quant.vdqs import tensor_bits


def with_fewer_bitops(
    workspace: Workspace, network: QuantizedNetwork, reduction: float, candidates: Sequence[int]
) -> QuantizedNetwork:
    """Weights and maps lowered together to bits of `candidates`, by measured losses, until BitOPs are so much fewer.

    Weights that have fewer than 8 bits already don't get more.
    """
    candidate = workspace.uniform_candidate(network)
    maps = maps_of(workspace, candidate, candidates, stitched_maps(candidate))
    recomputed = 64 * recompute_macs(candidate, network.program)
    options = workspace.weight_options(candidates[1:])
    found = lower_together(
        _products(workspace, candidate, maps),
        {(option.layer, option.bits): option.loss for option in options},
        workspace.map_losses(maps),
        recomputed / reduction,
        network.weight_bits,
    )
    if found.bitops * reduction > recomputed:
        most = recomputed / found.bitops
        workspace.clock.note(f"weights and maps of {candidates[-1]} bits give {most:.2f} times fewer BitOPs at most")
    bits = tensor_bits(maps, {m.name: found.maps.get(m.name, 8) for m in maps})
    narrow = {name: count for name, count in found.weights.items() if count < network.weight_bits.get(name, 8)}
    graph = workspace.with_weights(workspace.with_maps(network.graph, bits), narrow)
    search = {
        "bitops_of_8_bit_recompute": recomputed,
        "cycles_of_8_bit_maps": round(candidate.cycles),
        "bitops": found.bitops,
        "maps": [{"map": m.name, "bits": bits[m.name]} for m in maps],
    }
    return QuantizedNetwork.of(graph, bits, search)


def _products(workspace: Workspace, candidate: Candidate, maps: Sequence[FeatureMap]) -> list[Product]:
    """The layers with their MACs and the maps that they read."""
    macs = Counter[str]()
    for step, _, output in executed_steps(candidate.program):
        if isinstance(step, steps.Convolution):
            macs[step.layer] += step_macs(step, output)
    owner = {name: m.name for m in maps for name in m.names}
    return [Product(op.name, macs[op.name], owner.get(op.inputs[0], op.inputs[0])) for op in layers_of(workspace.graph)]
