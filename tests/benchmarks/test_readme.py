"""The tour of README.md: which commands are run, and what of their output stands there."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.readme import _BLOCK, README, Tour

TEXT = """Some words.

```console
$ quantmcu compile demo/a.onnx --board b --calib demo/c --out net
an old figure
```

More words.

```console
$ quantmcu compile demo/a.onnx ... --out net4 --weight-bits 4
$ quantmcu measure net4

$ quantmcu report net net4
old first paragraph

old second paragraph
```
"""


def test_outputs_are_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    def printed(tour: Tour, command: str) -> str:
        ran.append(command)
        return f"one {len(ran)}\n\ntwo\nlines\n\nthree\n"

    monkeypatch.setattr(Tour, "_printed", printed)
    text = _BLOCK.sub(Tour(tmp_path).block, TEXT)
    assert ran == [
        "quantmcu compile demo/a.onnx --board b --calib demo/c --out net",
        "quantmcu compile demo/a.onnx --board b --calib demo/c --out net4 --weight-bits 4",
        "quantmcu measure net4",
        "quantmcu report net net4",
    ]
    assert text == TEXT.replace("an old figure", "one 1").replace("old first paragraph", "one 4").replace(
        "old second paragraph", "two\nlines"
    )


def test_all_of_the_readme_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its commands is run, whole."""
    text = README.read_text(encoding="utf-8")
    commands = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
    ran = []
    monkeypatch.setattr(Tour, "_printed", lambda tour, command: ran.append(command) or "a line\n")
    assert _BLOCK.sub(Tour(tmp_path).block, text) != text
    assert len(ran) == len(commands) > 5
    assert not [command for command in ran if "..." in command]
