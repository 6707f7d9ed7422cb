"""C identifiers from the names of a model."""

from __future__ import annotations

import re
from collections.abc import Iterable

_KEYWORDS = frozenset(
    "auto break case char const continue default do double else enum extern float for goto if inline int long register "
    "restrict return short signed sizeof static struct switch typedef union unsigned void volatile while".split()
)
_LONGEST = 48


def c_identifiers(names: Iterable[str]) -> dict[str, str]:
    """A unique lower-case C identifier for each name, deterministic in the order given."""
    taken: set[str] = set(_KEYWORDS)
    result: dict[str, str] = {}
    for name in names:
        base = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[-_LONGEST:].strip("_") or "unnamed"
        base = f"n{base}" if base[0].isdigit() else base
        identifier, number = base, 2
        while identifier in taken:
            identifier, number = f"{base}_{number}", number + 1
        taken.add(identifier)
        result[name] = identifier
    return result
