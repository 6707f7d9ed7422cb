"""Puts the tables of a run into docs/performance.md, between its marks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks import tables
from quantmcu.errors import UsageError


def write_document(path: Path, report: dict[str, Any], figures: dict[str, Any]) -> None:
    """Replaces what stands between the marks `<!-- begin networks -->` and so on.

    Raises:
        UsageError: the document lacks a mark.
    """
    conditions = [f"- {name}: {text}" for name, text in report["conditions"].items() if isinstance(text, str)]
    conditions.append(f"- commit {report['commit']}; {'; '.join(_compilers(report))}")
    skipped = [f"- not measured: {e['network']} ({e['what']}): {e['why']}" for e in report["skipped"]]
    replace(path, "conditions", "\n".join([*conditions, *skipped]) + "\n")
    replace(path, "networks", _text(tables.summary(report, figures)))
    missed = tables.missed(report, figures)
    replace(path, "missed", _text(missed) if missed else "All goals are met.\n")


def replace(path: Path, name: str, text: str) -> None:
    """Replaces what stands between the marks of `name`.

    Raises:
        UsageError: there are none.
    """
    content = path.read_text()
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->\n"
    if begin not in content or end not in content:
        raise UsageError(f"no marks of {name}", str(path), f"tables are put between `{begin.strip()}` and its end")
    before, _, rest = content.partition(begin)
    path.write_text(before + begin + "\n" + text + "\n" + end + rest.partition(end)[2])


def _text(found: Sequence[Table]) -> str:
    return "\n".join(tables.markdown(table) for table in found)


def _compilers(report: dict[str, Any]) -> list[str]:
    rows = [row for network in report["networks"] for row in network["quantmcu"]]
    return sorted({f"{row['compiler']} {' '.join(f for f in row['flags'] if f.startswith('-O'))}" for row in rows})
