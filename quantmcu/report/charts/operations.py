"""What patches and bitwidths do to the work: BitOPs and cycles against 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Amount:
    """A bar.

    Attributes:
        length: in percent of the longest of its group.
        relative: to the first one of the group.
        is_this: it is of the result itself, and not what that is compared with.
    """

    label: str
    value: int
    length: float
    relative: float
    is_this: bool


@dataclass(frozen=True)
class Amounts:
    """Bars of one unit; the first one is what the others are relative to."""

    title: str
    bars: list[Amount]


_WORST = "this network, worst case of its patches"


def operations(result: dict[str, Any]) -> list[Amounts]:
    """BitOPs, predicted cycles; empty where neither patches nor narrow maps or weights change anything."""
    bitops, plan = result["bitops"], result["plan"]
    if not plan.get("stages") and bitops["total"] == bitops["uniform8_unpatched"]:
        return []
    patched = bool(plan.get("stages"))
    found = [_amounts("BitOPs (MACs x bits of weight x bits of input)", _bitops(bitops, patched))]
    if plan.get("cycles"):
        found.append(_amounts("Cycles", _cycles(result)))
    return found


def _bitops(bitops: dict[str, Any], patched: bool) -> list[tuple[str, int | None, bool]]:
    average = bitops.get("average", bitops["total"])
    return [
        ("this network", average, True),
        (_WORST, bitops["total"] if bitops["total"] != average else None, True),
        ("8 bits, same patches, halos computed again", bitops["uniform8_patched"] if patched else None, False),
        ("8 bits, layer by layer", bitops["uniform8_unpatched"], False),
    ]


def _cycles(result: dict[str, Any]) -> list[tuple[str, int | None, bool]]:
    plan, search = result["plan"], result.get("search", {})
    average = plan.get("average_cycles", plan["cycles"])
    return [
        ("this network, predicted", average, True),
        ("this network, " + _how(result), (result.get("latency") or {}).get("cycles"), True),
        (_WORST, plan["cycles"] if plan["cycles"] != average else None, True),
        ("same plan, feature maps of 8 bits, predicted", search.get("cycles_of_8_bit_maps"), False),
        ("layer by layer, predicted", _layer_by_layer(plan), False),
    ]


def _how(result: dict[str, Any]) -> str:
    return "measured" if (result.get("latency") or {}).get("source") == "device" else "in the emulator"


def _layer_by_layer(plan: dict[str, Any]) -> int | None:
    return round(plan["cycles"] / plan["cycle_factor"]) if plan.get("stages") and plan.get("cycle_factor") else None


def _amounts(title: str, values: list[tuple[str, int | None, bool]]) -> Amounts:
    known = [(label, value, is_this) for label, value, is_this in values if value is not None]
    most = max(value for _, value, _ in known) or 1
    first = known[0][1] or 1
    return Amounts(
        title,
        [Amount(label, value, 100 * value / most, value / first, is_this) for label, value, is_this in known],
    )
