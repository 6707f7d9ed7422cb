"""Gives up kernels that need much flash, for those that need less, where the flash is short."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from quantmcu.codegen.registry import FlashFacts, choose_kernels
from quantmcu.errors import QuantMCUError

if TYPE_CHECKING:
    from quantmcu.codegen.select import Selection

MOST_CYCLES_PER_BYTE = 50
"""That a kernel of fewer constants may lose: weights of fewer bits are the better way to save more."""


def with_less_code(selections: Sequence[Selection], limit: int) -> dict[Selection, Selection]:
    """What takes the place of each: of those files that fewest cycles are lost without, none is kept.

    Args:
        selections: with any kernels.
        limit: estimated bytes of generated code in all.
    """
    kept = {selection: selection for selection in selections}
    shared: dict[Selection, Selection] = {}
    while sum((code := _generated(kept.values())).values()) > limit:
        losses = dict.fromkeys(code, 0.0)
        for first, selection in kept.items():
            if selection.code_bytes and first not in shared:
                shared[first] = _other_kernel(selection, lambda flash: not flash.code)
            for file in selection.code_bytes:
                losses[file] += shared[first].cycles - selection.cycles
        dropped = min((losses[file] / code[file], file) for file in code)[1]
        kept |= {first: shared[first] for first, selection in kept.items() if dropped in selection.code_bytes}
    return kept


def with_fewer_constants(selections: Sequence[Selection], limit: int) -> dict[Selection, Selection]:
    """What takes the place of each, so that constants and generated code have at most `limit` bytes in all.

    Kernels that store weights wider than their bits give way to others, first where a byte costs fewest cycles. None
    does where a byte would cost more than `MOST_CYCLES_PER_BYTE`: what is left of the excess, no kernel can mend.
    """
    kept = {selection: selection for selection in selections}
    smaller: dict[Selection, Selection | None] = {}
    while _network_bytes(kept.values()) > limit:
        costs: dict[Selection, float] = {}
        for first, selection in kept.items():
            if selection not in smaller:
                smaller[selection] = _with_fewer_constants(selection)
            other = smaller[selection]
            if other is not None:
                saved = selection.constant_bytes - other.constant_bytes
                costs[first] = (other.cycles - selection.cycles) / saved
        changed = min(costs, key=lambda first: costs[first], default=None)
        if changed is None or costs[changed] > MOST_CYCLES_PER_BYTE:
            break
        other = smaller[kept[changed]]
        assert other is not None
        kept[changed] = other
    return kept


def _network_bytes(selections: Iterable[Selection]) -> int:
    """Constants, and generated code, which steps may share."""
    chosen = list(selections)
    return sum(selection.constant_bytes for selection in chosen) + sum(_generated(chosen).values())


def _generated(selections: Iterable[Selection]) -> dict[str, int]:
    return {file: size for selection in selections for file, size in selection.code_bytes.items()}


def _with_fewer_constants(selection: Selection) -> Selection | None:
    """With the fastest kernels that need fewer bytes of constants than the largest of now; None: there are none."""
    largest = max((flash.constants for _, flash in selection.flash), default=0)
    try:
        other = _other_kernel(selection, lambda flash: flash.constants < largest)
    except QuantMCUError:
        return None
    return other if other.constant_bytes < selection.constant_bytes else None


def _other_kernel(selection: Selection, allowed: Callable[[FlashFacts], bool]) -> Selection:
    return replace(selection, kernels=choose_kernels(selection.contexts, selection.facts, allowed))
