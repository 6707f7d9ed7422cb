"""Bits of weights and of feature maps together: BitOPs are their product, so each makes the other's saving smaller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


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
    weight_losses: Mapping[str, float],
    map_losses: Mapping[str, float],
    target: float,
) -> JointBits:
    """Lowers weights of layers and feature maps from 8 to 4 bits until the BitOPs are at most `target`.

    Each step takes what adds the least loss for each BitOP that it saves, given the bits of everything else. Losses
    are the measured noise of the network's outputs when that layer or map alone has 4 bits; they are taken as
    independent, so that they add up. Ties go to the earlier product, weights first.

    Args:
        weight_losses: of the layers that may have weights of 4 bits.
        map_losses: of the feature maps that may have 4 bits.
    """
    weights = dict.fromkeys((p.layer for p in products), 8)
    maps = dict.fromkeys((p.source for p in products), 8)

    def bitops() -> int:
        return sum(p.macs * weights[p.layer] * maps[p.source] for p in products)

    while bitops() > target:
        moves: list[tuple[float, dict[str, int], str]] = []
        for product in products:
            if product.layer in weight_losses and weights[product.layer] == 8:
                saved = product.macs * 4 * maps[product.source]
                moves.append((weight_losses[product.layer] / max(saved, 1), weights, product.layer))
        for name in maps:
            if name in map_losses and maps[name] == 8:
                saved = sum(p.macs * weights[p.layer] * 4 for p in products if p.source == name)
                moves.append((map_losses[name] / max(saved, 1), maps, name))
        if not moves:
            break
        _, lowered, name = min(moves, key=lambda move: move[0])
        lowered[name] = 4
    return JointBits(weights, maps, bitops())
