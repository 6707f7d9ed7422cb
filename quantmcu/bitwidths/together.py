"""Bits of weights and of feature maps lowered together, until the network takes as few BitOPs as wanted."""

from __future__ import annotations

from collections import Counter

from quantmcu.bitwidths.maps import stitched_maps
from quantmcu.bitwidths.network import QuantizedNetwork, layers_of
from quantmcu.bitwidths.workspace import Workspace
from quantmcu.patch.candidate import Candidate
from quantmcu.plan_data import recompute_macs
from quantmcu.program import steps
from quantmcu.program.bitops import executed_steps
from quantmcu.program.macs import step_macs
from quantmcu.quant.joint import JointBits, Product, lower_together
from quantmcu.quant.map_costs import FeatureMap, feature_maps
from quantmcu.quant.vdqs import tensor_bits


def with_fewer_bitops(workspace: Workspace, network: QuantizedNetwork, reduction: float) -> QuantizedNetwork:
    """Weights and maps lowered together, by measured losses; weights that have fewer bits already keep them."""
    candidate = workspace.uniform_candidate(network)
    maps = feature_maps(workspace.graph, workspace.calibration, {}, fixed=stitched_maps(candidate))
    narrow = workspace.quantized({op.name: 4 for op in workspace.narrowable})
    recomputed = 64 * recompute_macs(candidate, network.program)
    found = _lowered(workspace, network, candidate, maps, recomputed / reduction)
    if found.bitops * reduction > recomputed:
        most = recomputed / found.bitops
        workspace.clock.note(f"weights and maps of 4 bits give {most:.2f} times fewer BitOPs at most")
    bits = tensor_bits(maps, {m.name: found.maps.get(m.name, 8) for m in maps})
    lowered = {name for name, count in found.weights.items() if count < 8} | set(network.weight_bits)
    known = {op.name: op for op in narrow.ops if op.name in lowered}
    graph = workspace.with_maps(network.graph, bits)
    search = {
        "bitops_of_8_bit_recompute": recomputed,
        "cycles_of_8_bit_maps": round(candidate.cycles),
        "bitops": found.bitops,
        "maps": [{"map": m.name, "bits": bits[m.name]} for m in maps],
    }
    return QuantizedNetwork.of(graph.with_ops(known.get(op.name, op) for op in graph.ops), bits, search)


def _lowered(
    workspace: Workspace,
    network: QuantizedNetwork,
    candidate: Candidate,
    maps: tuple[FeatureMap, ...],
    target: float,
) -> JointBits:
    """The search, down to `target` BitOPs."""
    macs = Counter[str]()
    for step, _, output in executed_steps(candidate.program):
        if isinstance(step, steps.Convolution):
            macs[step.layer] += step_macs(step, output)
    owner = {name: m.name for m in maps for name in m.names}
    products = [
        Product(op.name, macs[op.name], owner.get(op.inputs[0], op.inputs[0])) for op in layers_of(workspace.graph)
    ]
    weight_losses = {option.layer: option.loss for option in workspace.weight_options() if option.bits == 4}
    weight_losses |= dict.fromkeys(network.weight_bits, 0.0)  # the flash has decided: first and for nothing
    map_losses = {name: loss for (name, _), loss in workspace.map_losses(maps).items()}
    return lower_together(products, weight_losses, map_losses, target)
