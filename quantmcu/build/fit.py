"""Builds what was planned, and plans again where the linker finds less room in flash than was assumed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from quantmcu.build.failures import FlashOverflowError

_MOST_BUILDS = 4
_STEPS = (0, *(1024 * n for n in (8, 16, 32, 64)))
"""Beyond what the linker misses, since bytes are saved by whole layers: tried in turn until something changes."""

Plan = TypeVar("Plan")
Built = TypeVar("Built")


def build_to_fit(
    plan: Plan, build: Callable[[Plan], Built], smaller: Callable[[int], Plan], content: Callable[[Plan], object]
) -> tuple[Plan, Built]:
    """What was built in the end, and its plan.

    How much flash code takes nobody knows exactly before the linker.

    Args:
        plan: to try first.
        build: raises FlashOverflowError where the plan does not fit.
        smaller: another plan, given the bytes of flash that are missing.
        content: of the firmware of a plan: it takes another one to try again.

    Raises:
        FlashOverflowError: no plan fits.
    """
    missing = 0
    for _ in range(_MOST_BUILDS - 1):
        try:
            return plan, build(plan)
        except FlashOverflowError as error:
            missing += error.missing
            known = content(plan)
            others = (smaller(missing + more) for more in _STEPS)
            other = next((other for other in others if content(other) != known), None)
            if other is None:
                raise
            plan = other
    return plan, build(plan)
