"""Weights and maps lowered together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quantmcu.bitwidths import BitChooser, BitsRequest
from quantmcu.errors import UsageError
from quantmcu.patch.request import PatchRequest
from quantmcu.program.bitops import program_bitops
from quantmcu.quant.joint import Product, lower_together

PRODUCTS = (
    Product("first", 100, "x"),
    Product("second", 100, "a"),
    Product("third", 50, "a"),
    Product("last", 10, "b"),
)


def test_takes_the_least_loss_for_each_bitop() -> None:
    weights, maps = {("first", 4): 1.0, ("second", 4): 4.0, ("third", 4): 4.0}, {("a", 4): 5.0, ("b", 4): 0.1}
    found = lower_together(PRODUCTS, weights, maps, 64 * 260)
    assert (found.bitops, set(found.weights.values()), set(found.maps.values())) == (64 * 260, {8}, {8})
    once = lower_together(PRODUCTS, weights, maps, 64 * 259)
    assert once.weights["first"] == 4  # 1.0 for 50 units; b: 0.1 for 5 comes to 0.02 as well, and later
    assert once.bitops == 64 * 210
    more = lower_together(PRODUCTS, weights, maps, 64 * 140)
    assert more.maps == {"x": 8, "a": 4, "b": 4}
    assert more.bitops == 64 * (50 + 75 + 5)
    least = lower_together(PRODUCTS, weights, maps, 0)
    assert least.weights == {"first": 4, "second": 4, "third": 4, "last": 8}
    assert least.bitops == 64 * 50 + 16 * 150 + 32 * 10


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
    found = lower_together(products, weights, maps, 64 * 130)
    assert found.weights == {"first": 8, "second": 2}  # 1.2 for three quarters, or 1.0 for half
    most = lower_together(products, weights, maps, 0)
    assert (most.weights, most.maps["a"]) == ({"first": 2, "second": 2}, 2)
    kept = lower_together(products, weights, maps, 64 * 200, {"first": 4})
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
