"""What can be reached: the rows that no other one beats, and the goals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from rich.table import Table

from benchmarks.bitwidths.evaluation import paired_difference
from benchmarks.bitwidths.figures import CaseFigures, Figures, unbeaten
from benchmarks.bitwidths.rows import SECTIONS, random_label

FEWER_BITOPS, FEWER_CYCLES, LOST_POINTS = 2.2, 1.5, 1.0
"""Goals: so many times fewer than with 8 bits in the stage's patches, at no more than so many points of top-1."""


def frontier(found: CaseFigures) -> Table:
    """Rows than which none has fewer BitOPs (or fewer cycles) and is as accurate."""
    by_bitops = unbeaten(found.rows, lambda row: row.costs["bitops"])
    by_cycles = unbeaten(found.rows, lambda row: row.cycles)
    table = Table(title="Unbeaten in BitOPs (B), in predicted cycles (C)")
    for column in ("", "choice"):
        table.add_column(column)
    for column in ("fewer BitOPs", "fewer cycles", "to 8 bits", "SQNR"):
        table.add_column(column, justify="right")
    for row in sorted({*by_bitops, *by_cycles}, key=lambda row: row.fewer):
        fewer_cycles = fewer(found, row)
        table.add_row(
            ("B" if row in by_bitops else "") + ("C" if row in by_cycles else ""),
            named(row),
            f"{row.fewer:.2f}",
            "" if fewer_cycles is None else f"{fewer_cycles:.2f}",
            points(row),
            f"{row.accuracy.sqnr_db:.1f} dB",
        )
    return table


def fewer(found: CaseFigures, row: Figures) -> float | None:
    """How many times fewer predicted cycles than with 8 bits in the stage's patches."""
    reference = found.reference.cycles
    return reference / row.cycles if row.cycles and reference else None


def named(row: Figures) -> str:
    """Of all tables."""
    return f"{SECTIONS[row.row.section].split(';')[0].split(':')[0]}: {row.row.label}"


def points(row: Figures) -> str:
    """Points of top-1 above 8 bits, and the standard error."""
    lost, error = row.lost
    return f"{0.0 - lost:+.1f} ± {error:.1f}"


def goals(found: CaseFigures) -> list[str]:
    """A sentence a goal: whether it is met, or what comes nearest."""
    if not any(row.row.section == "both" for row in found.rows):
        return ["Weights and maps of fewer bits together were not measured, so the goals are not judged."]
    return [
        _goal(found.rows, "BitOPs", FEWER_BITOPS, lambda row: row.fewer),
        _goal(found.rows, "predicted cycles", FEWER_CYCLES, lambda row: fewer(found, row)),
    ]


def _goal(rows: Sequence[Figures], what: str, goal: float, gain: Callable[[Figures], float | None]) -> str:
    known = [(value, row) for row in rows if (value := gain(row)) is not None]
    kept, kept_row = max(
        ((value, row) for value, row in known if row.lost[0] <= LOST_POINTS), key=lambda pair: pair[0]
    )
    reaching = [row for value, row in known if value >= goal]
    text = f"At most {LOST_POINTS:g} point below 8 bits: {kept:.2f} times fewer {what} ({named(kept_row)})."
    if kept >= goal:
        return f"{text} The goal, {goal:g}, is met."
    if reaching:
        best = min(reaching, key=lambda row: row.lost[0])
        return f"{text} The goal, {goal:g}, costs {best.lost[0]:.1f} ± {best.lost[1]:.1f} points ({named(best)})."
    most, row = max(known, key=lambda pair: pair[0])
    return f"{text} The goal, {goal:g}, is out of reach: the most is {most:.2f} ({named(row)}, {points(row)} points)."


def against_random(found: CaseFigures) -> list[str]:
    """A sentence for each VDPC that narrows some of the patches: what it gains over as many random ones."""
    rows = {row.row.name: row for row in found.rows}
    sentences = []
    for row in found.rows:
        drawn = rows.get(replace(row.row, label=random_label(row.row)).name)
        if drawn is None or not 0 < row.costs.get("outlier_share", 0) < 1:
            continue
        gained, error = paired_difference(row.accuracy.right, drawn.accuracy.right)
        decibels = row.accuracy.sqnr_db - drawn.accuracy.sqnr_db
        gain = f"{gained:+.1f} ± {error:.1f} points, {decibels:+.1f} dB"
        sentences.append(f"VDPC, {row.row.label}, against as many random patches: {gain}.")
    return sentences
