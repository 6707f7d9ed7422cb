"""Weights and biases that adapt to the bits chosen: reconstruction as a request asks for it."""

from __future__ import annotations

from quantmcu.bitwidths.network import QuantizedNetwork
from quantmcu.bitwidths.request import reconstruction_passes
from quantmcu.bitwidths.workspace import Workspace
from quantmcu.quant.reconstruct import can_reconstruct, reconstruct


def with_reconstruction(workspace: Workspace, network: QuantizedNetwork, wanted: str) -> QuantizedNetwork:
    """`network` with weights and biases that make up for its bits, where that is `wanted` and gains something."""
    if wanted == "off" or (wanted == "auto" and not network.weight_bits and not network.map_bits):
        return network
    clock, dataset = workspace.clock, workspace.dataset.take(workspace.calibration.samples)
    why_not = can_reconstruct(network.graph, len(dataset))
    if workspace.division is not None:
        why_not = "patches of two classes share them"
    if why_not is not None:
        clock.note(f"weights are not reconstructed: {why_not}")
        return network
    with clock.stage("reconstruct"):
        found = reconstruct(
            workspace.graph, network.graph, dataset, passes=reconstruction_passes(wanted), advance=clock.advance
        )
    clock.note(
        f"weights and biases reconstructed in {found.passes:.1f} passes over {found.samples} samples: outputs "
        f"{found.sqnr_db_before:.1f} dB before, {found.sqnr_db_after:.1f} dB after on {found.held_back} others"
        + ("" if found.improved else ": no better, so they stay as they were")
    )
    search = {**network.search, "reconstruction": found.record()}
    return QuantizedNetwork.of(found.graph, network.map_bits, search)
