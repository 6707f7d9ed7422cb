"""How many random cases a test tries: few where each is compiled, ten times as many with the profile `thorough`."""

from __future__ import annotations

from hypothesis import settings

_USUAL = 100


def register() -> None:
    """Makes the profile known; before pytest is configured."""
    settings.register_profile("thorough", max_examples=10 * _USUAL)


def examples(count: int) -> int:
    """`count`, scaled by hypothesis' profile."""
    return count * settings.default.max_examples // _USUAL
