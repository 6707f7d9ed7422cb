"""Less memory for the same stages: kernels with less working memory for the steps that set the peak."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from quantmcu.codegen.select import AnySelection, Selection, flat
from quantmcu.patch.candidate import Candidate


def leaner(candidate: Candidate, enough: int = 0) -> Iterator[Candidate]:
    """The same plan with less and less memory, down to `enough` bytes, and ever slower kernels."""
    while candidate.arena_bytes > enough:
        peaks = [index for index, nbytes in enumerate(candidate.live) if nbytes == candidate.arena_bytes]
        names = {candidate.timeline.slots[index].name for index in peaks}
        changed = {
            selection: smaller
            for selection in flat(candidate.selections)
            if selection.step.name in names and (smaller := selection.with_less_scratch()) is not None
        }
        attempt = replace(candidate, selections=[_replaced(item, changed) for item in candidate.selections])
        if attempt.arena_bytes >= candidate.arena_bytes:
            return
        candidate = attempt
        yield candidate


def _replaced(item: AnySelection, changed: dict[Selection, Selection]) -> AnySelection:
    if isinstance(item, Selection):
        return changed.get(item, item)
    if not any(inner in changed for inner in item.selections):
        return item
    return replace(item, selections=tuple(changed.get(inner, inner) for inner in item.selections))


