"""C identifiers from the names of a model."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

_KEYWORDS = frozenset(
    "auto break case char const continue default do double else enum extern float for goto if inline int long register "
    "restrict return short signed sizeof static struct switch typedef union unsigned void volatile while".split()
)
_LONGEST = 40


def c_identifiers(names: Mapping[str, str], prefer: Collection[str] = ()) -> dict[str, str]:
    """A unique lower-case C identifier for each name, deterministic in the order given.

    Args:
        names: each name with a substitute, which is taken where the name is too long to be read (converters join the
        names of
            several layers into one) or stands in `prefer`.
    """
    taken: set[str] = set(_KEYWORDS)
    result: dict[str, str] = {}
    for name, substitute in names.items():
        base = _sanitized(name)
        if name in prefer or not base or len(base) > _LONGEST:
            base = _sanitized(substitute)
        identifier, number = base, 2
        while identifier in taken:
            identifier, number = f"{base}_{number}", number + 1
        taken.add(identifier)
        result[name] = identifier
    return result


def _sanitized(name: str) -> str:
    base = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return f"n{base}" if base[:1].isdigit() else base
