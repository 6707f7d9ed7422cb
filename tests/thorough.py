"""How many random cases a test tries, and whether they are the same each time.

A usual run draws the same cases each time, so that a failure is always due to a change. The profile `thorough` draws
new ones, ten times as many.
"""

from __future__ import annotations

from hypothesis import settings

_USUAL = 100


def register() -> None:
    """Makes the profiles known, and takes the usual one; before pytest is configured."""
    settings.register_profile("usual", max_examples=_USUAL, derandomize=True)
    settings.register_profile("thorough", max_examples=10 * _USUAL)
    settings.load_profile("usual")


def examples(count: int) -> int:
    """`count`, scaled by hypothesis' profile."""
    return count * settings.default.max_examples // _USUAL
