"""The figures of a run as a JSON file: an interrupted run goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import quantmcu

Entry = dict[str, Any]


class Store:
    """Rows by network and name, written after every change.

    An entry holds: `key`, of everything that determines the row but QuantMCU's source; `source`, of that, and its
    `commit`; `halves`, by half `digest` and figures (`Evaluation.as_json`); `costs`, those of the first half's network,
    and the source `planned_with`; `emulated`, with the `digest` of the firmware. Or `problem`: why there are none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else {}

    def rows(self, case: str) -> dict[str, Entry]:
        """Of a network, by name."""
        found: dict[str, Entry] = self.data.setdefault(case, {"about": {}, "rows": {}})["rows"]
        return found

    def about(self, case: str) -> dict[str, Any]:
        """Of a network: what its rows were measured with."""
        self.rows(case)
        found: dict[str, Any] = self.data[case]["about"]
        return found

    def put(self, case: str, name: str, entry: Entry) -> None:
        """Keeps a row."""
        self.rows(case)[name] = entry
        self.save()

    def evaluation(self, case: str, digest: str) -> Entry | None:
        """Figures of an equal network on the same images, of any row."""
        return next((half for half in self._halves(case) if half["digest"] == digest), None)

    def emulated(self, case: str, digest: str) -> int | None:
        """Cycles of the same firmware."""
        entries = (entry.get("emulated") for entry in self.rows(case).values())
        return next((found["cycles"] for found in entries if found and found["digest"] == digest), None)

    def _halves(self, case: str) -> Iterator[Entry]:
        return (half for entry in self.rows(case).values() for half in entry.get("halves", ()))

    def save(self) -> None:
        """Writes the file, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".part")
        temporary.write_text(json.dumps(self.data, indent=1) + "\n")
        temporary.replace(self.path)


def source_digest() -> str:
    """Of QuantMCU's Python source: figures of another one are measured again."""
    root = Path(quantmcu.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
