"""Bits of weights: as asked for, or as few as the flash demands."""

from __future__ import annotations

from collections import Counter

from quantmcu.bitwidths.network import QuantizedNetwork
from quantmcu.bitwidths.workspace import Workspace
from quantmcu.codegen.kernel import Core
from quantmcu.codegen.select import flat, select_kernels
from quantmcu.memory.budget import flash_error
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
    if wanted == "8" or not layers:
        return network
    if wanted != "auto":
        return QuantizedNetwork.of(workspace.narrow_weights(int(wanted)))
    stored = constant_bytes(network.program, Core.of(workspace.board))
    room = workspace.budget.safe_constant_bytes
    if stored <= room:
        return network
    others = stored - sum(weight_bytes(op, 8) for op in layers)
    four_are_enough = sum(weight_bytes(op, 4) for op in layers) <= room - others
    fewest = {op.name: weight_bytes(op, 2) for op in layers} | {"tables and other constants": others}
    if sum(fewest.values()) > room:
        raise flash_error(fewest, room, workspace.budget, workspace.board, fewest_bits=True)
    options = workspace.weight_options((8, 4) if four_are_enough else (8, 4, 2))
    chosen = choose_weight_bits(options, room - others)
    counts = Counter(chosen.values())
    narrow = " and ".join(f"{counts[bits]} have {bits} bits" for bits in (4, 2) if counts[bits])
    workspace.clock.note(
        f"weights of 8 bits and tables need {stored:,} bytes of flash, {room:,} are there for them: "
        f"of {len(layers)} layers' weights {narrow}"
    )
    return QuantizedNetwork.of(workspace.with_weights(network.graph, chosen))


def constant_bytes(program: Program, core: Core, flash: int | None = None) -> int:
    """Flash for weights and tables with the fastest kernels, or those that fit `flash` bytes as far as they can."""
    return sum(
        constant.nbytes
        for selection in flat(select_kernels(program, core, constant_bytes=flash))
        if selection.kernel is not None
        for constant in selection.kernel.lower(selection.context).constants
    )
