"""VDQS: the bits of each feature map by a score of information and cost, under a memory limit (arXiv 2401.13714).

    S(i, b) = -lambda * Omega(i, b) + (1 - lambda) * Phi(i, b)

Phi is the cost saved by b bits, over the largest cost of any map at 8 bits. Omega is the loss of information: as the
paper has it, (H(i, 8) - H(i, b)) / H(i, 8) with the entropy H of the codes ("entropy"); or the noise that b bits add to
the map ("sqnr") or to the network's outputs ("measured"), over the largest that any map adds at 4 bits (where maps have
8 or 2: at 2). The paper is public in outline only: definitions where it is silent are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from quantmcu.quant.map_costs import FeatureMap, MapOption

Information = Literal["measured", "sqnr", "entropy"]
"""What Omega is made of."""

Assignment = Mapping[str, int]
"""Bits by the name of a feature map (its first tensor)."""

DEFAULT_LAMBDA = 0.8
"""MobileNetV2 @144, all maps, "measured", BitOPs against 8-bit recompute patches and top-1 (8 bit: 65.6 %, n = 250):
lambda 0.9 1.18x 64.0 %, 0.8 1.32x 64.0 %, 0.6 1.71x 57.2 %, 0.3 1.79x 56.8 %."""


class MemoryModel(Protocol):
    """Bytes that live at each moment of an inference."""

    def live_bytes(self, bits: Assignment) -> Sequence[int]:
        """By moment."""

    def live_maps(self, moment: int) -> frozenset[str]:
        """Names of the feature maps that live then."""


class CostModel(Protocol):
    """What feature maps of some bits cost, where that of one may depend on the bits of others."""

    def around(self, name: str, bits: Assignment) -> float:
        """What changes with the bits of the feature map `name`, given those of all."""

    def total(self, bits: Assignment) -> float:
        """Of everything."""


class OwnCosts:
    """Each map costs what its option says, whatever the others."""

    def __init__(self, maps: Sequence[FeatureMap]) -> None:
        self._costs = {(m.name, option.bits): option.cost for m in maps for option in m.options}

    def around(self, name: str, bits: Assignment) -> float:
        """Of the map."""
        return self._costs[name, bits[name]]

    def total(self, bits: Assignment) -> float:
        """Sum over the maps."""
        return sum(self._costs[name, bits[name]] for name in bits)


@dataclass(frozen=True, eq=False)
class Score:
    """S(i, b), given the bits of the other maps.

    Attributes:
        lam: weight of information against cost.
        losses: Omega by name and bits.
        costs: what Phi is made of.
        unit: the largest cost of any map at 8 bits, where all have 8.
    """

    lam: float
    losses: Mapping[tuple[str, int], float]
    costs: CostModel
    unit: float

    def of(self, name: str, bits: Assignment) -> float:
        """Of the bits that map `name` has there; 0 at 8 bits."""
        saved = 0.0
        if self.lam < 1:
            saved = self.costs.around(name, {**bits, name: 8}) - self.costs.around(name, bits)
        return -self.lam * self.losses[name, bits[name]] + (1 - self.lam) * saved / self.unit

    def __getitem__(self, key: tuple[str, int]) -> float:
        """By name and bits, where all others have 8."""
        name, bits = key
        return self.of(name, dict.fromkeys((other for other, _ in self.losses), 8) | {name: bits})


@dataclass(frozen=True)
class Found:
    """Result of a search.

    Attributes:
        bits: of every feature map.
        cost: of all together.
        peak_bytes: largest of the live bytes; 0 without memory model.
        fits, reaches: whether memory limit and cost target are kept.
        scores: of every feature map, given the bits of the others.
    """

    bits: dict[str, int]
    cost: float
    peak_bytes: int
    fits: bool
    reaches: bool
    scores: Mapping[str, float]


def scores_of(
    maps: Sequence[FeatureMap],
    lam: float = DEFAULT_LAMBDA,
    information: Information = "entropy",
    measured: Mapping[tuple[str, int], float] | None = None,
    costs: CostModel | None = None,
) -> Score:
    """S of the maps.

    Args:
        maps: with all bits that they may have.
        lam: weight of information against cost, 0 .. 1.
        information: what Omega is made of.
        measured: by name and bits, how far the outputs move when that map alone is quantized (`map_divergences`).
        costs: None: the maps' own.
    """
    losses = {(m.name, o.bits): _loss(m, o, information, measured or {}) for m in maps for o in m.options}
    if information != "entropy":
        first = max((bits for _, bits in losses if bits < 8), default=8)
        largest = max((loss for (_, bits), loss in losses.items() if bits == first), default=0.0) or 1.0
        losses = {key: loss / largest for key, loss in losses.items()}
    costs = costs or OwnCosts(maps)
    eight = uniform_bits(maps, 8)
    return Score(lam, losses, costs, max((costs.around(m.name, eight) for m in maps), default=0.0) or 1.0)


def _loss(
    feature_map: FeatureMap, option: MapOption, information: Information, measured: Mapping[tuple[str, int], float]
) -> float:
    """Omega, not normalised yet where it is a noise."""
    best = feature_map.options[0]
    if information == "measured":
        return measured.get((feature_map.name, option.bits), 0.0)
    if information == "sqnr":
        return option.noise - best.noise
    return (best.entropy - option.entropy) / best.entropy if best.entropy else 0.0


def search_bits(
    maps: Sequence[FeatureMap],
    score: Score,
    *,
    cost_target: float | None = None,
    memory: MemoryModel | None = None,
    memory_limit: int | None = None,
) -> Found:
    """The iterative search.

    1. Each map takes the bits of its best score, given the others: the largest gain first, until none gains. 2. While
    the live bytes of a moment exceed the limit, of the maps that live at the worst moment the one is lowered whose
    score falls least. 3. While the cost exceeds the target, the map is lowered that loses the least score for each unit
    of cost saved. 4. Maps whose score gains by it are raised again where limit and target allow. Ties go to the earlier
    map.
    """
    state = _State(maps, score, cost_target, memory, memory_limit)
    state.take_best_scores()
    state.reduce_memory()
    state.reduce_cost()
    state.raise_again()
    return state.found()


_LEAST_GAIN = 1e-9
"""Of a score, below which it is rounding."""


class _State:
    def __init__(
        self,
        maps: Sequence[FeatureMap],
        score: Score,
        target: float | None,
        memory: MemoryModel | None,
        limit: int | None,
    ) -> None:
        self.maps, self.score, self.target, self.memory, self.limit = maps, score, target, memory, limit
        self.bits = uniform_bits(maps, 8)

    def reaches(self, bits: Assignment) -> bool:
        return self.target is None or self.score.costs.total(bits) <= self.target

    def excess(self, bits: Assignment) -> tuple[int, int]:
        """Bytes beyond the limit at the worst moment, and that moment."""
        if self.memory is None or self.limit is None:
            return 0, 0
        live = self.memory.live_bytes(bits)
        worst = int(np.argmax(live))
        return max(0, live[worst] - self.limit), worst

    def _moves(self, lower: bool) -> list[tuple[FeatureMap, int]]:
        """Every map with the next bits below (or above)."""
        moves = []
        for m in self.maps:
            other = [o.bits for o in m.options if (o.bits < self.bits[m.name]) == lower and o.bits != self.bits[m.name]]
            if other:
                moves.append((m, max(other) if lower else min(other)))
        return moves

    def _loss(self, m: FeatureMap, bits: int) -> float:
        return self.score.of(m.name, self.bits) - self.score.of(m.name, {**self.bits, m.name: bits})

    def take_best_scores(self) -> None:
        while True:
            moves = [(m, o.bits) for m in self.maps for o in m.options if o.bits != self.bits[m.name]]
            m, bits = min(moves, key=lambda move: self._loss(*move), default=(None, 8))
            if m is None or self._loss(m, bits) >= -_LEAST_GAIN:
                return
            self.bits[m.name] = bits

    def reduce_memory(self) -> None:
        while True:
            excess, moment = self.excess(self.bits)
            if not excess or self.memory is None:
                return
            alive = self.memory.live_maps(moment)
            moves = [(m, bits) for m, bits in self._moves(lower=True) if m.name in alive]
            if not moves:
                return
            m, bits = min(moves, key=lambda move: self._loss(*move))
            self.bits[m.name] = bits

    def reduce_cost(self) -> None:
        around = self.score.costs.around
        while not self.reaches(self.bits):
            moves = []
            for m, bits in self._moves(lower=True):
                saved = around(m.name, self.bits) - around(m.name, {**self.bits, m.name: bits})
                if saved > 0:
                    moves.append((self._loss(m, bits) / saved, m, bits))
            if not moves:
                return
            _, m, bits = min(moves, key=lambda move: move[0])
            self.bits[m.name] = bits

    def raise_again(self) -> None:
        while True:
            moves = [(self._loss(m, bits), m, bits) for m, bits in self._moves(lower=False)]
            for loss, m, bits in sorted(moves, key=lambda move: move[0]):
                changed = {**self.bits, m.name: bits}
                if loss < 0 and self.reaches(changed) and not self.excess(changed)[0]:
                    self.bits = changed
                    break
            else:
                return

    def found(self) -> Found:
        peak = max(self.memory.live_bytes(self.bits), default=0) if self.memory else 0
        fits = self.excess(self.bits)[0] == 0
        scores = {m.name: self.score.of(m.name, self.bits) for m in self.maps}
        cost = self.score.costs.total(self.bits)
        return Found(self.bits, cost, peak, fits, self.reaches(self.bits), scores)


def uniform_bits(maps: Sequence[FeatureMap], bits: int) -> dict[str, int]:
    """Baseline: every map with the same bits."""
    return {m.name: bits for m in maps}


def ranked_bits(maps: Sequence[FeatureMap], bits: int, cost_target: float) -> dict[str, int]:
    """Baseline: maps are lowered, as far as `bits`, by the error they then have, smallest first, to the target."""
    rungs = [(m, option) for m in maps for option in m.options if bits <= option.bits < 8]
    return _lowered(sorted(rungs, key=lambda rung: rung[1].noise), maps, cost_target)


def random_bits(maps: Sequence[FeatureMap], bits: int, cost_target: float, seed: int = 0) -> dict[str, int]:
    """Baseline: maps are lowered, rung after rung as far as `bits`, in random order until the target is kept."""
    rng = np.random.default_rng(seed)
    rungs = sorted({o.bits for m in maps for o in m.options if bits <= o.bits < 8}, reverse=True)
    order = [(maps[index], maps[index].option(rung)) for rung in rungs for index in rng.permutation(len(maps))]
    return _lowered(order, maps, cost_target)


def _lowered(
    order: Sequence[tuple[FeatureMap, MapOption]], maps: Sequence[FeatureMap], target: float
) -> dict[str, int]:
    chosen = uniform_bits(maps, 8)
    cost = sum(m.option(8).cost for m in maps)
    for m, option in order:
        saved = m.option(chosen[m.name]).cost - option.cost
        if cost <= target or saved <= 0:
            continue
        chosen[m.name] = option.bits
        cost -= saved
    return chosen


def tensor_bits(maps: Sequence[FeatureMap], bits: Assignment) -> dict[str, int]:
    """Bits by tensor, for `quantize`."""
    return {name: bits[m.name] for m in maps for name in m.names}

