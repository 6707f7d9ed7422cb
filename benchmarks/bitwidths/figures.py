"""The figures of a network's rows, worked out of what was stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.bitwidths.cases import Case
from benchmarks.bitwidths.evaluation import Evaluation, paired_difference
from benchmarks.bitwidths.rows import EIGHT_BITS, FASTEST_PATCHES, Row, rows_of, stage_reference
from benchmarks.bitwidths.store import Store


@dataclass(frozen=True, eq=False)
class Figures:
    """Of one row.

    Attributes:
        row: what was asked for.
        accuracy: of the images of both halves.
        costs: as `Planned.describe`; of rows without plan BitOPs alone.
        emulated: cycles, where they were measured.
        is_older: planned with another version of QuantMCU's source than 8 bits.
        lost: points of top-1 below 8 bits on the same images, and their standard error.
        fewer: how many times fewer BitOPs than in the stage's patches at 8 bits; `fewer_fastest`: than in the fastest
            3x3 patches; `fewer_stage`: of the stage alone.
    """

    row: Row
    accuracy: Evaluation
    costs: dict[str, Any]
    emulated: int | None
    is_older: bool
    lost: tuple[float, float]
    fewer: float
    fewer_fastest: float
    fewer_stage: float

    @property
    def top1(self) -> float:
        """Percent."""
        return 100 * float(self.accuracy.right.mean())

    @property
    def agreement(self) -> float:
        """Percent."""
        return 100 * float(self.accuracy.agrees.mean())

    @property
    def cycles(self) -> int | None:
        """Predicted, on average over the calibration images."""
        found: int | None = self.costs.get("cycles")
        return found


@dataclass(frozen=True, eq=False)
class CaseFigures:
    """Of one network.

    Attributes:
        case: the network.
        about: what was measured with.
        rows: those with figures, in order.
        problems: by name of the row, why it has none.
        commits: of the sources that were measured.
    """

    case: Case
    about: dict[str, Any]
    rows: Sequence[Figures]
    problems: dict[str, str]
    commits: Sequence[str]

    @property
    def float_top1(self) -> float:
        """Percent."""
        return 100 * float(self.rows[0].accuracy.float_right.mean())

    @property
    def reference(self) -> Figures:
        """8 bits in the stage's patches."""
        wanted = stage_reference(self.case)
        return next(figures for figures in self.rows if figures.row == wanted)


def figures_of(case: Case, store: Store) -> CaseFigures | None:
    """None without the three rows of 8 bits, with which the others are compared."""
    entries = store.rows(case.id)
    references = (EIGHT_BITS, FASTEST_PATCHES, stage_reference(case))
    if any("halves" not in entries.get(row.name, {}) for row in references):
        return None
    joined = {row.name: _joined(entries[row.name]) for row in rows_of(case) if "halves" in entries.get(row.name, {})}
    eight, newest = joined[EIGHT_BITS.name], entries[EIGHT_BITS.name]["planned_with"]
    _, fastest, stage = (entries[row.name]["costs"] for row in references)
    rows = []
    for row in rows_of(case):
        if row.name not in joined:
            continue
        entry, accuracy = entries[row.name], joined[row.name]
        costs = entry["costs"]
        lost, error = paired_difference(eight.right, accuracy.right)
        rows.append(
            Figures(
                row,
                accuracy,
                costs,
                (entry.get("emulated") or {}).get("cycles"),
                entry.get("planned_with", newest) != newest,
                (lost, error),
                stage["bitops"] / costs["bitops"],
                fastest["bitops"] / costs["bitops"],
                stage["stage_bitops"] / costs["stage_bitops"],
            )
        )
    problems = {name: entry["problem"] for name, entry in entries.items() if "problem" in entry}
    commits = sorted({str(entry["commit"]) for entry in entries.values()})
    return CaseFigures(case, store.about(case.id), rows, problems, commits)


def _joined(entry: dict[str, Any]) -> Evaluation:
    return Evaluation.joined([Evaluation.from_json(half) for half in entry["halves"]])


def unbeaten(rows: Sequence[Figures], cost: Callable[[Figures], float | None]) -> list[Figures]:
    """Of the rows with this cost, those than which none is cheaper and at least as accurate; the most costly first."""
    known = [(value, figures) for figures in rows if (value := cost(figures)) is not None]
    best: list[Figures] = []
    for _, figures in sorted(known, key=lambda pair: (pair[0], -pair[1].top1)):
        if not best or figures.top1 > best[-1].top1:
            best.append(figures)
    return best[::-1]
