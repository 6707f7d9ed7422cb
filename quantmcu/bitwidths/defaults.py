"""What feature maps get where the user says nothing: 8 bits where they fit the RAM, else as few as make it fit."""

from __future__ import annotations

from dataclasses import replace

from quantmcu.bitwidths.fitting import with_maps_that_fit
from quantmcu.bitwidths.network import QuantizedNetwork
from quantmcu.bitwidths.request import BitsRequest
from quantmcu.bitwidths.workspace import Workspace


def with_default_maps(workspace: Workspace, network: QuantizedNetwork, request: BitsRequest) -> QuantizedNetwork:
    """Maps keep 8 bits where a plan fits the RAM that way; else VDQS lowers those whose loss is least until one does.

    Time is no reason: of maps with fewer bits, no kernel on 8-bit weights is faster (docs/bitwidths.md).
    """
    eight, budget = workspace.plan(network), workspace.budget.arena_bytes
    if eight.overflow is None:
        return _decided(network, "maps keep 8 bits: they fit the RAM")
    needed = f"with 8-bit maps the smallest plan needs {eight.candidate.arena_bytes:,} bytes of RAM for them"
    found = with_maps_that_fit(workspace, network, request)
    if found is None:
        reason = f"{needed}, {budget:,} are there; with maps of {request.candidates[-1]} bits no plan fits either"
        workspace.clock.note(reason)
        return _decided(network, reason)
    planned, narrow = workspace.plan(found), sum(m["bits"] < 8 for m in found.search["maps"])
    reason = (
        f"{needed}, {budget:,} are there: {narrow} of {len(found.search['maps'])} maps have "
        f"{request.candidates[-1]} bits, and the plan needs {planned.candidate.arena_bytes:,} (--bits 8: keep 8)"
    )
    workspace.clock.note(reason)
    return _decided(found, reason)


def _decided(network: QuantizedNetwork, reason: str) -> QuantizedNetwork:
    return replace(network, search={**network.search, "decision": reason})
