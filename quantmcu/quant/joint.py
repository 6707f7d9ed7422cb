"""Bits of weights and of feature maps together: BitOPs are their product, so each makes the other's saving smaller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

Losses = Mapping[tuple[str, int], float]
"""By name and bits below 8, the measured noise of the network's outputs when this alone has so few bits."""


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
class JointBits:
    """Bits by layer (weights) and by feature map, and the BitOPs that they make."""

    weights: dict[str, int]
    maps: dict[str, int]
    bitops: int


def lower_together(
    products: Sequence[Product],
    weight_losses: Losses,
    map_losses: Losses,
    target: float,
    weight_bits: Mapping[str, int] | None = None,
) -> JointBits:
    """Lowers weights of layers and feature maps until the BitOPs are at most `target`.

    Each step takes what adds the least loss for each BitOP that it saves, given the bits of everything else; one of 8
    bits may go to any fewer that its losses name. Losses are taken as independent, so that they add up. Ties go to the
    earlier product, weights first.

    Args:
        products: of the network.
        weight_losses: of the layers whose weights may have fewer bits.
        map_losses: of the feature maps that may have fewer bits.
        target: BitOPs.
        weight_bits: by layer, where the weights have fewer than 8 bits from the start.
    """
    weights = {p.layer: (weight_bits or {}).get(p.layer, 8) for p in products}
    maps = dict.fromkeys((p.source for p in products), 8)

    def bitops() -> int:
        return sum(p.macs * weights[p.layer] * maps[p.source] for p in products)

    while bitops() > target:
        moves: list[tuple[float, dict[str, int], str, int]] = []
        for product in products:
            for bits, loss in _fewer(weight_losses, product.layer, weights[product.layer]):
                saved = product.macs * (weights[product.layer] - bits) * maps[product.source]
                moves.append((loss / max(saved, 1), weights, product.layer, bits))
        for name in maps:
            for bits, loss in _fewer(map_losses, name, maps[name]):
                saved = sum(p.macs * weights[p.layer] * (maps[name] - bits) for p in products if p.source == name)
                moves.append((loss / max(saved, 1), maps, name, bits))
        if not moves:
            break
        _, lowered, name, bits = min(moves, key=lambda move: move[0])
        lowered[name] = bits
    return JointBits(weights, maps, bitops())


def _fewer(losses: Losses, name: str, now: int) -> Iterator[tuple[int, float]]:
    """The bits below `now` that `name` may have, the most first, and what each adds to its loss."""
    for bits in (4, 2):
        if bits < now and (name, bits) in losses:
            yield bits, losses[name, bits] - losses.get((name, now), 0.0)
