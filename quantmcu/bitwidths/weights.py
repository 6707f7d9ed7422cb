"""Bits of weights: as asked for, or as few as the flash demands."""

from __future__ import annotations

from quantmcu.bitwidths.network import QuantizedNetwork
from quantmcu.bitwidths.workspace import Workspace
from quantmcu.codegen.kernel import Core
from quantmcu.codegen.select import flat, select_kernels
from quantmcu.program.program import Program
from quantmcu.quant import choose_weight_bits, weight_bytes


def with_chosen_weights(workspace: Workspace, wanted: str) -> QuantizedNetwork:
    """The network with 8-bit maps and weights of `wanted` bits; "auto": 8 where they fit the flash.

    Raises:
        QuantMCUError: the weights don't fit the flash with any bits allowed.
    """

    def choose() -> QuantizedNetwork:
        with workspace.clock.stage("quantize"):
            network = QuantizedNetwork.of(workspace.quantized())
        with workspace.clock.stage("weight bits"):
            return _with_weight_bits(workspace, network, wanted)

    return workspace.once(("weighted", wanted, workspace.budget.safe_constant_bytes), choose)


def _with_weight_bits(workspace: Workspace, network: QuantizedNetwork, wanted: str) -> QuantizedNetwork:
    layers = workspace.narrowable
    names = [op.name for op in layers]
    if wanted == "8" or not layers:
        return network
    if wanted != "auto":
        return QuantizedNetwork.of(workspace.quantized(dict.fromkeys(names, int(wanted))))
    stored = constant_bytes(network.program, Core.of(workspace.board))
    room = workspace.budget.safe_constant_bytes
    if stored <= room:
        return network
    others = stored - sum(weight_bytes(op, 8) for op in layers)
    candidates = {8: network.graph, 4: workspace.quantized(dict.fromkeys(names, 4))}
    chosen = choose_weight_bits(workspace.weight_options(), room - others)
    by_name = {bits: {op.name: op for op in graph.ops} for bits, graph in candidates.items()}
    mixed = network.graph.with_ops(by_name[chosen.get(op.name, 8)][op.name] for op in network.graph.ops)
    count = sum(bits < 8 for bits in chosen.values())
    workspace.clock.note(
        f"weights of 8 bits and tables need {stored:,} bytes of flash, {room:,} are there for them: "
        f"{count} of {len(names)} layers have weights of 4 bits"
    )
    return QuantizedNetwork.of(mixed)


def constant_bytes(program: Program, core: Core) -> int:
    """Flash for weights and tables with the kernels of 8 bits."""
    return sum(
        constant.data.nbytes
        for selection in flat(select_kernels(program, core))
        if selection.kernel is not None
        for constant in selection.kernel.lower(selection.context).constants
    )
