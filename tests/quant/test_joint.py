"""Weights and maps lowered together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from quantmcu.bitwidths import BitChooser, BitsRequest, QuantizedNetwork
from quantmcu.bitwidths.network import layers_of
from quantmcu.codegen.joint_cycles import JointCycles
from quantmcu.codegen.kernel import Core
from quantmcu.errors import UsageError
from quantmcu.patch.request import PatchRequest
from quantmcu.program.bitops import program_bitops
from quantmcu.progress import SilentProgress, StageClock
from quantmcu.quant.joint import (
    JointBitops,
    JointBits,
    Losses,
    Lowering,
    Product,
    lowered_step_by_step,
    paired_lowerings,
    single_lowerings,
)

PRODUCTS = (
    Product("first", 100, "x"),
    Product("second", 100, "a"),
    Product("third", 50, "a"),
    Product("last", 10, "b"),
)


def bits_of(products: Sequence[Product], weights: dict[str, int] | None = None) -> JointBits:
    return JointBits(
        {p.layer: (weights or {}).get(p.layer, 8) for p in products}, dict.fromkeys((p.source for p in products), 8)
    )


def lower_to(
    products: Sequence[Product],
    weight_losses: Losses,
    map_losses: Losses,
    target: float,
    weights: dict[str, int] | None = None,
) -> tuple[JointBits, int]:
    """The first bits of at most `target` BitOPs, or the last ones, and their BitOPs."""
    costs, moves = JointBitops(products), single_lowerings(products, weight_losses, map_losses)
    way = list(lowered_step_by_step(bits_of(products, weights), moves, weight_losses, map_losses, costs))
    found = next((bits for bits in way if costs.total(bits) <= target), way[-1])
    return found, costs.total(found)


def test_takes_the_least_loss_for_each_bitop() -> None:
    weights, maps = {("first", 4): 1.0, ("second", 4): 4.0, ("third", 4): 4.0}, {("a", 4): 5.0, ("b", 4): 0.1}
    found, bitops = lower_to(PRODUCTS, weights, maps, 64 * 260)
    assert (bitops, set(found.weights.values()), set(found.maps.values())) == (64 * 260, {8}, {8})
    once, bitops = lower_to(PRODUCTS, weights, maps, 64 * 259)
    assert once.weights["first"] == 4  # 1.0 for 50 units; b: 0.1 for 5 comes to 0.02 as well, and later
    assert bitops == 64 * 210
    more, bitops = lower_to(PRODUCTS, weights, maps, 64 * 140)
    assert more.maps == {"x": 8, "a": 4, "b": 4}
    assert bitops == 64 * (50 + 75 + 5)
    least, bitops = lower_to(PRODUCTS, weights, maps, 0)
    assert least.weights == {"first": 4, "second": 4, "third": 4, "last": 8}
    assert bitops == 64 * 50 + 16 * 150 + 32 * 10


class OnlyTogether:
    """Costs of packed multiplication: narrow weights or maps alone save nothing."""

    def total(self, bits: JointBits) -> float:
        """Half for each product of which both are narrow."""
        return sum(1 if bits.weights[p.layer] == bits.maps[p.source] == 4 else 2 for p in PRODUCTS)


def test_pairs_are_found_where_neither_alone_saves_anything() -> None:
    weights, maps = {(p.layer, 4): 1.0 for p in PRODUCTS}, {("a", 4): 1.0, ("b", 4): 5.0}
    single, pairs = single_lowerings(PRODUCTS, weights, maps), paired_lowerings(PRODUCTS, weights, maps)
    assert [(move.layers, move.maps) for move in pairs] == [(("second", "third"), ("a",)), (("last",), ("b",))]

    def way(moves: Sequence[Lowering]) -> list[JointBits]:
        return list(lowered_step_by_step(bits_of(PRODUCTS), moves, weights, maps, OnlyTogether()))

    assert len(way(single)) == 1
    first, second, third = way([*single, *pairs])
    assert first == bits_of(PRODUCTS)
    assert second.maps == {"x": 8, "a": 4, "b": 8}  # 3 for two units, b: 6 for one
    assert third.weights == {"first": 8, "second": 4, "third": 4, "last": 4}


@pytest.mark.parametrize("reduction", [1.3, 2.0])
def test_network_reaches_the_reduction(chooser: BitChooser, reduction: float) -> None:
    off = replace(chooser, patches=PatchRequest("off"))
    eight = program_bitops(off.choose(BitsRequest()).program)
    chosen = off.choose(BitsRequest(maps="mixed", reduction=reduction))
    assert chosen.search["bitops"] == program_bitops(chosen.program) <= eight / reduction
    assert chosen.search["bitops_of_8_bit_recompute"] == eight
    assert chosen.weight_bits


def test_goes_to_2_bits_where_they_add_less_for_each_bitop() -> None:
    products = (Product("first", 100, "x"), Product("second", 100, "a"))
    weights = {("first", 4): 1.0, ("first", 2): 9.0, ("second", 4): 1.0, ("second", 2): 1.2}
    maps = {("a", 4): 2.0, ("a", 2): 40.0}
    found, _ = lower_to(products, weights, maps, 64 * 130)
    assert found.weights == {"first": 8, "second": 2}  # 1.2 for three quarters, or 1.0 for half
    most, _ = lower_to(products, weights, maps, 0)
    assert (most.weights, most.maps["a"]) == ({"first": 2, "second": 2}, 2)
    kept, _ = lower_to(products, weights, maps, 64 * 200, {"first": 4})
    assert kept.weights == {"first": 4, "second": 8}


def test_network_goes_beyond_what_4_bits_give(chooser: BitChooser) -> None:
    off = replace(chooser, patches=PatchRequest("off"))
    chosen = off.choose(BitsRequest("8,4,2", reduction=5))
    assert chosen.search["bitops"] == program_bitops(chosen.program)
    assert 2 in {*chosen.weight_bits.values(), *chosen.map_bits.values()}


def test_wrong_reductions() -> None:
    with pytest.raises(UsageError, match="5 times fewer BitOPs are not possible"):
        BitsRequest(maps="mixed", reduction=5)
    with pytest.raises(UsageError, match="17 times fewer BitOPs are not possible"):
        BitsRequest(maps="8,4,2", reduction=17)
    with pytest.raises(UsageError, match="needs --bits mixed"):
        BitsRequest(reduction=2)


def without_patches(chooser: BitChooser) -> BitChooser:
    return replace(chooser, patches=PatchRequest("off"), clock=StageClock(SilentProgress()))


def cycles_of(chooser: BitChooser, network: QuantizedNetwork) -> float:
    return chooser.plan(network).candidate.cycles


def test_cycles_are_those_of_the_plan_of_these_bits(chooser: BitChooser) -> None:
    off = without_patches(chooser)
    eight, narrow = off.choose(BitsRequest()), off.choose(BitsRequest("8,4", "4", lam=0.0))
    maps = {name: name for name in eight.program.values if name in off.graph.tensors}
    programs = {8: eight.program, 4: off.choose(BitsRequest(weights="4")).program}
    costs = JointCycles(programs, Core.of(off.board), maps, off.budget.network_bytes)
    for network in (eight, narrow):
        layers = {op.name: network.weight_bits.get(op.name, 8) for op in layers_of(off.graph)}
        bits = JointBits(layers, {name: network.map_bits.get(name, 8) for name in maps})
        assert costs.total(bits) == pytest.approx(cycles_of(off, network), rel=0.02)


def test_scarce_flash_makes_fast_words_dear(chooser: BitChooser) -> None:
    """With less flash no bits take fewer cycles, and 4-bit weights that had room as fast words take more."""
    off = without_patches(chooser)
    four = off.choose(BitsRequest(weights="4"))
    maps = {name: name for name in four.program.values if name in off.graph.tensors}
    bits = JointBits({op.name: four.weight_bits.get(op.name, 8) for op in layers_of(off.graph)}, dict.fromkeys(maps, 8))
    cycles = [JointCycles({8: four.program, 4: four.program}, Core.of(off.board), maps, flash).total(bits)
              for flash in (2**20, 1800, 1200)]  # fmt: skip
    assert cycles == sorted(cycles)
    assert cycles[0] < cycles[-1]


@pytest.mark.parametrize(("speedup", "reduction"), [(1.1, None), (3.0, None), (None, 1.5), (None, 4.0)])
def test_lowering_for_latency_is_never_predicted_slower(
    chooser: BitChooser, speedup: float | None, reduction: float | None
) -> None:
    off = without_patches(chooser)
    eight = off.choose(BitsRequest())
    chosen = off.choose(BitsRequest("mixed", cost="cycles", speedup=speedup, reduction=reduction))
    assert cycles_of(off, chosen) < cycles_of(off, eight)
    assert chosen.search["cost"] == "cycles"
    if reduction == 4.0:  # depthwise layers and inputs keep 8 bits: out of reach, and said
        (note,) = off.clock.notes
        assert note.startswith("weights and maps of 4 bits give ")
        assert note.endswith("times fewer BitOPs before fewer of them save no more predicted cycles")


def test_lowering_for_latency_beats_lowering_for_bitops(chooser: BitChooser) -> None:
    """The fewest cycles of all on the way down."""
    off = without_patches(chooser)
    by_bitops = [cycles_of(off, off.choose(BitsRequest("mixed", reduction=x))) for x in (1.0, 1.5, 2.0, 3.0, 4.0)]
    by_cycles = cycles_of(off, off.choose(BitsRequest("mixed", cost="cycles", speedup=10.0)))
    assert by_cycles <= min(by_bitops)


def test_keeps_8_bits_where_the_whole_plan_is_slower(chooser: BitChooser, monkeypatch: pytest.MonkeyPatch) -> None:
    """What single steps cost is a model, which flash and RAM may overrule; here one that is wrong."""
    monkeypatch.setattr(JointCycles, "total", lambda _self, bits: float(sum(bits.maps.values())))
    off = without_patches(chooser)
    chosen = off.choose(BitsRequest("mixed", "8", cost="cycles", speedup=1.2))
    assert not chosen.map_bits
    (note,) = off.clock.notes
    assert note.startswith("maps keep 8 bits: with fewer in ")
    assert chosen.search["decision"] == note
