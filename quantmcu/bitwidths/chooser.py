"""Chooses the bits of a network as a request asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from quantmcu.bitwidths.defaults import with_default_maps
from quantmcu.bitwidths.fitting import overflow_error, with_maps_that_fit
from quantmcu.bitwidths.maps import BitsOf, with_assigned_maps, with_map_bits
from quantmcu.bitwidths.network import QuantizedNetwork
from quantmcu.bitwidths.reconstructed import with_reconstruction
from quantmcu.bitwidths.request import MIXED, BitsRequest
from quantmcu.bitwidths.together import with_joint_bits
from quantmcu.bitwidths.weights import with_chosen_weights
from quantmcu.bitwidths.workspace import Workspace


@dataclass(frozen=True, eq=False)
class BitChooser(Workspace):
    """The choice of bits, and everything that it depends on."""

    def choose(self, request: BitsRequest, *, must_fit: bool = False) -> QuantizedNetwork:
        """The quantized network.

        Args:
            request: what is asked for.
            must_fit: refuse what does not fit the RAM, before anything is trained.

        Raises:
            QuantMCUError: the weights don't fit the flash with any bits allowed; or no plan fits the RAM.
        """
        if request.maps == "auto":  # maps are lowered for the RAM: only what they lose counts
            request = replace(request, lam=1.0, cost="bitops")
        eight = with_chosen_weights(self, request.weights)
        network = self._with_maps(eight, request)
        if must_fit and self.division is None and (error := overflow_error(self, network, eight, request)) is not None:
            raise error
        return with_reconstruction(self, network, request.reconstruct)

    def _with_maps(self, network: QuantizedNetwork, request: BitsRequest) -> QuantizedNetwork:
        if request.maps == "8":
            return network
        with self.clock.stage("map bits"):
            if request.maps == "auto":
                return with_default_maps(self, network, request)
            if request.lowers_weights:
                return with_joint_bits(self, network, request)
            found = None
            if self.division is None and self.plan(network).overflow is not None:
                found = with_maps_that_fit(self, network, request)
            return found or with_map_bits(self, network, request)

    def assign(
        self, weights: str, bits_of: BitsOf, candidates: Sequence[int] = MIXED, reconstruct: str = "off"
    ) -> QuantizedNetwork:
        """A baseline: maps have the bits of `candidates` that `bits_of` gives them, by name; their costs are BitOPs.

        Raises:
            QuantMCUError: the weights don't fit the flash with any bits allowed.
        """
        network = with_assigned_maps(self, with_chosen_weights(self, weights), bits_of, candidates)
        return with_reconstruction(self, network, reconstruct)
