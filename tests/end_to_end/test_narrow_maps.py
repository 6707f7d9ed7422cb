"""Feature maps and weights of 2 bits as a user asks for them: the firmware computes what the reference says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import quantmcu


@pytest.mark.slow
@pytest.mark.gcc
@pytest.mark.parametrize(("board", "patch", "weight_bits"), [("nucleo-f767", "off", "2"), ("pico", "2x2", "8")])
def test_maps_of_2_bits_on_host_and_emulator(
    small_model: Path, tmp_path: Path, board: str, patch: str, weight_bits: str
) -> None:
    data = np.random.default_rng(0).uniform(0, 1, (6, 3, 16, 16)).astype(np.float32)
    result = quantmcu.compile(
        small_model, board, calibration=data, out=tmp_path / "out", bits="8,4,2", lam=0.0, weight_bits=weight_bits,
        patch=patch,
    )  # fmt: skip
    steps = result.data["steps"]
    assert 2 in {bits for step in steps for bits in step["input_bits"]}
    assert {step["weight_bits"] for step in steps if step["weight_bits"]} >= {int(weight_bits)}
    assert {entry["bits"] for entry in result.data["search"]["maps"]} >= {2}
    for place in ("host", "emulator"):
        checked = quantmcu.validate(result, data=data, on=place)
        assert checked.data["validation"]["differing_bytes"] == 0
        assert checked.data["validation"]["reference_samples"] == 6
