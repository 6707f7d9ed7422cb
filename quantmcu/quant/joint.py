"""Bits of weights and of feature maps together: each makes what the other saves smaller, or only possible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

Losses = Mapping[tuple[str, int], float]
"""By name and bits below 8, the measured noise of the network's outputs when this alone has so few bits."""


@dataclass(frozen=True)
class JointBits:
    """Bits by layer (weights) and by feature map."""

    weights: Mapping[str, int]
    maps: Mapping[str, int]


class JointCosts(Protocol):
    """What a network costs with these bits."""

    def total(self, bits: JointBits) -> float:
        """Of everything: BitOPs, or predicted cycles."""


@dataclass(frozen=True)
class Product:
    """A layer that multiplies weights with a feature map.

    Attributes:
        layer: name of the operator.
        macs: multiply-accumulates of an inference, repeated ones counted each time.
        source: the feature map that it reads; one without an entry in the losses keeps 8 bits.
    """

    layer: str
    macs: int
    source: str


@dataclass(frozen=True)
class JointBitops:
    """BitOPs: multiply-accumulates times the bits of both factors."""

    products: Sequence[Product]

    def total(self, bits: JointBits) -> int:
        """Of all products."""
        return sum(p.macs * bits.weights[p.layer] * bits.maps[p.source] for p in self.products)


@dataclass(frozen=True)
class Lowering:
    """A step of the search: what of these has more than `bits` bits gets so few."""

    bits: int
    layers: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()


def single_lowerings(products: Sequence[Product], weight_losses: Losses, map_losses: Losses) -> list[Lowering]:
    """The weights of every layer alone, then every map alone, to whatever bits the losses name."""
    layers = [(p.layer, bits) for p in products for bits in (4, 2) if (p.layer, bits) in weight_losses]
    sources = dict.fromkeys(p.source for p in products)
    maps = [(name, bits) for name in sources for bits in (4, 2) if (name, bits) in map_losses]
    return [Lowering(n, layers=(name,)) for name, n in layers] + [Lowering(n, maps=(name,)) for name, n in maps]


def paired_lowerings(products: Sequence[Product], weight_losses: Losses, map_losses: Losses) -> list[Lowering]:
    """Every map with the weights of the layers that read it: packed multiplication is fast where both are narrow."""
    narrowable = [(p, bits) for p in products for bits in (4, 2) if (p.layer, bits) in weight_losses]
    alone = single_lowerings(products, {}, map_losses)
    readers = [tuple(p.layer for p, bits in narrowable if p.source in m.maps and bits == m.bits) for m in alone]
    return [replace(move, layers=layers) for move, layers in zip(alone, readers, strict=True) if layers]


def lowered_step_by_step(
    start: JointBits, moves: Sequence[Lowering], weight_losses: Losses, map_losses: Losses, costs: JointCosts
) -> Iterator[JointBits]:
    """`start`, then each time the move more that adds the least loss for each unit of cost that it saves.

    Losses are taken as independent, so that they add up. Moves that save nothing are not taken. Ties go to the earlier
    move.
    """
    bits, cost = start, costs.total(start)
    while True:
        yield bits
        found: list[tuple[float, JointBits, float]] = []
        for move in moves:
            weights, added = _lowered(bits.weights, move.layers, move.bits, weight_losses)
            maps, more = _lowered(bits.maps, move.maps, move.bits, map_losses)
            lowered = JointBits(weights, maps)
            if lowered == bits:
                continue
            least = costs.total(lowered)
            if least < cost:
                found.append(((added + more) / (cost - least), lowered, least))
        if not found:
            return
        _, bits, cost = min(found, key=lambda candidate: candidate[0])


def _lowered(
    now: Mapping[str, int], names: Sequence[str], bits: int, losses: Losses
) -> tuple[Mapping[str, int], float]:
    """`now` with at most `bits` bits for these, and what that adds to the loss."""
    changed = {name: bits for name in names if now[name] > bits}
    loss = sum(losses[name, bits] - losses.get((name, now[name]), 0.0) for name in changed)
    return ({**now, **changed} if changed else now), loss
