"""Builds what was planned, and plans again where the linker finds less room in flash than was assumed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from quantmcu.build.failures import FlashOverflowError

_MOST_BUILDS = 4

Plan = TypeVar("Plan")
Built = TypeVar("Built")


def build_to_fit(
    plan: Plan, build: Callable[[Plan], Built], smaller: Callable[[Plan, int], Plan | None]
) -> tuple[Plan, Built]:
    """What was built in the end, and its plan.

    How much flash code takes nobody knows exactly before the linker.

    Args:
        plan: to try first.
        build: raises FlashOverflowError where the plan does not fit.
        smaller: given the last plan and the bytes of flash that were missing so far in all, another plan, or None.

    Raises:
        FlashOverflowError: no plan fits.
    """
    missing = 0
    for _ in range(_MOST_BUILDS - 1):
        try:
            return plan, build(plan)
        except FlashOverflowError as error:
            missing += error.missing
            other = smaller(plan, missing)
            if other is None:
                raise
            plan = other
    return plan, build(plan)
