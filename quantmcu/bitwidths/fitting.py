"""Bits of feature maps where 8 do not fit the RAM: VDQS under the memory limit, and the exact plan of what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from quantmcu.bitwidths.maps import MapSearch
from quantmcu.bitwidths.network import QuantizedNetwork
from quantmcu.bitwidths.request import BitsRequest
from quantmcu.bitwidths.workspace import Workspace
from quantmcu.errors import QuantMCUError
from quantmcu.patch.candidate import Candidate
from quantmcu.planning import fits, same_plan

_MOST_TRIES = 4
"""Searches with a smaller and smaller limit, where the exact plan needs more than the model of memory says."""


def with_maps_that_fit(
    workspace: Workspace, network: QuantizedNetwork, request: BitsRequest
) -> QuantizedNetwork | None:
    """`network`, whose 8-bit maps don't fit the RAM, with fewer bits in those maps that VDQS takes; None: nothing fits.

    First in the patches that need the least RAM at 8 bits. Where that is not enough, in those that suit maps of the
    fewest bits, from which maps are raised again as far as they fit. Maps between patches and the rest of the network
    may be narrow too.
    """
    search = MapSearch(workspace, network, request, workspace.plan(network).candidate)
    found = _within(search)
    if found is not None and workspace.plan(found).overflow is None:
        return found
    narrowest = _narrowest(workspace, network, request)
    planned = workspace.plan(narrowest)
    if planned.overflow is not None:
        return None
    found = _Raising(search, planned.candidate).run()
    return found if workspace.plan(found).overflow is None else narrowest


def overflow_error(
    workspace: Workspace, network: QuantizedNetwork, eight: QuantizedNetwork, request: BitsRequest
) -> QuantMCUError | None:
    """Why no plan of `network`, which was chosen from `eight` with its 8-bit maps, fits the RAM; None: one does.

    The smallest RAM that it names is that of the fewest bits that `request` allows, where they need less: with so much
    RAM the same request would find maps that fit.
    """
    planned = workspace.plan(network)
    error = planned.overflow
    if error is None or request.lowers_weights:  # maps go by BitOPs or cycles, not by RAM
        return error
    if request.maps == "8":
        return replace(error, hint=f"maps of fewer bits where they are needed (--bits auto); {error.hint}")
    narrow = workspace.plan(_narrowest(workspace, eight, request))
    wide = workspace.plan(eight).memory.arena_bytes
    if narrow.overflow is None or narrow.memory.arena_bytes >= planned.memory.arena_bytes:
        return error
    bits = f"that is with maps of {request.candidates[-1]} bits, with 8 bits it needs {wide:,}"
    return replace(narrow.overflow, why=f"{bits}; {narrow.overflow.why}")


def _narrowest(workspace: Workspace, network: QuantizedNetwork, request: BitsRequest) -> QuantizedNetwork:
    """`network`, whose 8-bit maps don't fit the RAM, with maps of the fewest bits."""

    def lower_all() -> QuantizedNetwork:
        candidate = workspace.plan(network).candidate
        return MapSearch(workspace, network, request, candidate).uniform(request.candidates[-1])

    return workspace.once(("narrowest", network.program, workspace.budget, request), lower_all)


def _within(search: MapSearch) -> QuantizedNetwork | None:
    """The network of the largest limit tried with which it fits the RAM in the same patches; None: of none.

    Kernels for packed maps take working memory of their own, which the model of memory does not know.
    """
    capacity = search.workspace.budget.arena_bytes
    limit, known = capacity, None
    for _ in range(_MOST_TRIES):
        network = search.within(limit)
        if network.map_bits == known:
            break
        known = network.map_bits
        plans = _plans(search.candidate, search.workspace, network)
        if any(fits(plan, search.workspace.budget) for plan in plans):
            return network
        limit -= max(min(plan.arena_bytes for plan in plans) - capacity, capacity // 64)
    return None


def _plans(candidate: Candidate, workspace: Workspace, network: QuantizedNetwork) -> list[Candidate]:
    """`network` in the patches of `candidate`."""
    return same_plan(candidate, network.program, workspace.board, workspace.budget, workspace.optimize)


class _Raising:
    """Raises maps from the fewest bits, those that lose most first, as long as the exact plan fits in these patches."""

    def __init__(self, search: MapSearch, candidate: Candidate) -> None:
        self.search, self.candidate = search, candidate
        self.bits = dict.fromkeys(search.names, search.request.candidates[-1])

    def run(self) -> QuantizedNetwork:
        """The network with the bits that fit."""
        score = self.search.score
        for bits in self.search.request.candidates[:-1]:
            narrow = [name for name in self.bits if self.bits[name] < bits]
            self._raise(sorted(narrow, key=lambda name: score[name, self.bits[name]]), bits)
        return self.search.with_bits(self.bits)

    def _raise(self, names: Sequence[str], bits: int) -> None:
        """All of `names` where that fits; else the first half, and what then fits of the second."""
        if not names:
            return
        raised = self.bits | dict.fromkeys(names, bits)
        plans = _plans(self.candidate, self.search.workspace, self.search.with_bits(raised))
        if any(fits(plan, self.search.workspace.budget) for plan in plans):
            self.bits = raised
        elif len(names) > 1:
            half = len(names) // 2
            self._raise(names[:half], bits)
            self._raise(names[half:], bits)
