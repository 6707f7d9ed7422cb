"""`quantmcu compile --objective latency`: the fastest network within a limit of accuracy, or of BitOPs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command


@pytest.mark.parametrize("limit", [("--max-accuracy-drop", 60), ("--bitops-reduction", 1.5)])
def test_is_no_slower_than_8_bits_and_says_what_it_did(
    quantmcu_command: Command, small_model: Path, photos: Path, tmp_path: Path, limit: tuple[str, float]
) -> None:
    data = ("--calib", photos, "--preprocess", "signed")
    compiled = ("--board", "nucleo-f411", *data, "--no-build", "--reconstruct", "off")
    results = []
    for out, options in (("eight", ("--bits", "8")), ("fast", ("--objective", "latency", *limit))):
        status, _, messages = quantmcu_command("compile", small_model, *compiled, *options, "--out", tmp_path / out)
        assert status == 0, messages
        results.append(json.loads((tmp_path / out / "result.json").read_text()))
    eight, fast = results
    assert fast["plan"]["cycles"] <= eight["plan"]["cycles"]
    assert fast["search"]["cost"] == "cycles"
    notes = "\n".join(fast["compile"]["notes"])
    if limit[0] == "--max-accuracy-drop":
        assert "8-bit maps) lose " in notes
        assert "60 are allowed" in notes
