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
    weights, maps = {"first": 1.0, "second": 4.0, "third": 4.0}, {"a": 5.0, "b": 0.1}
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


def test_wrong_reductions() -> None:
    with pytest.raises(UsageError, match="5 times fewer BitOPs are not possible"):
        BitsRequest(maps="mixed", reduction=5)
    with pytest.raises(UsageError, match="needs --bits mixed"):
        BitsRequest(reduction=2)
