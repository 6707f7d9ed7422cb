"""Feature maps and weights of 2 bits as a user asks for them: the firmware computes what the reference says."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from rich.console import Console

import quantmcu
from quantmcu.report.tables import summary
from quantmcu.results import Result
from tests.onnx_models import make_model, node


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
    measured = result.data["search"]["measured"]
    assert measured["samples"] == 6
    assert measured["sqnr_db"] < measured["sqnr_db_of_8_bits"] - 10
    assert f"fewer bits than 8: signal to noise of the outputs {measured['sqnr_db']:.1f} dB" in str(
        result.data["compile"]["notes"]
    )
    for place in ("host", "emulator"):
        checked = quantmcu.validate(result, data=data, on=place)
        assert checked.data["validation"]["differing_bytes"] == 0
        assert checked.data["validation"]["reference_samples"] == 6


@pytest.fixture(scope="module")
def wide_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier with two maps at once that are much larger than its input."""
    rng = np.random.default_rng(1)
    nodes = [
        node("Conv", ["x", "a"], "stem", pads=[1, 1, 1, 1]),
        node("Relu", ["stem"], "relu"),
        node("Conv", ["relu", "b"], "dense", pads=[1, 1, 1, 1]),
        node("Relu", ["dense"], "relu2"),
        node("Add", ["relu", "relu2"], "sum"),
        node("GlobalAveragePool", ["sum"], "mean"),
        node("Flatten", ["mean"], "flat"),
        node("Gemm", ["flat", "c"], "y"),
    ]
    shapes = {"a": (8, 1, 3, 3), "b": (8, 8, 3, 3), "c": (8, 4)}
    constants = {name: (rng.normal(size=shape) / 4).astype(np.float32) for name, shape in shapes.items()}
    model = make_model(nodes, {"x": [1, 1, 24, 24]}, ["y"], constants)
    path = tmp_path_factory.mktemp("wide") / "wide.onnx"
    onnx.save(model, str(path))
    return path


def test_maps_get_narrow_by_themselves_where_the_ram_asks_for_it(wide_model: Path, tmp_path: Path) -> None:
    data = np.random.default_rng(0).uniform(0, 1, (6, 1, 24, 24)).astype(np.float32)

    def compiled(name: str, **options: Any) -> Result:
        return quantmcu.compile(
            wide_model, "nucleo-f767", calibration=data, out=tmp_path / name, build=False, patch="off", **options
        )

    roomy = compiled("roomy")
    assert roomy.data["search"]["decision"] == "maps keep 8 bits: they fit the RAM"
    assert "measured" not in roomy.data["search"]
    ram = roomy.data["memory"]["arena_bytes"] * 3 // 4 + 8192  # stack and variables
    tight = compiled("tight", ram=ram)
    assert tight.data["memory"]["arena_bytes"] <= ram - 8192
    assert "maps have 4 bits, and the plan needs" in tight.data["search"]["decision"]
    notes = tight.data["compile"]["notes"]
    assert notes[0] == tight.data["search"]["decision"]
    (second,) = [note for note in notes if note.startswith("fewer bits than 8")]
    assert second.startswith("fewer bits than 8: signal to noise of the outputs")
    assert "same class as the float model (8 bits: 100.0 %), on 6 calibration samples" in second
    console = Console(width=200, file=io.StringIO())
    console.print(summary(tight.data))
    assert f"lost     {second.removeprefix('fewer bits than 8: ')}" in console.file.getvalue()
    eight = compiled("eight", ram=ram, bits="8")
    assert "the feature maps need" in str(eight.data["compile"]["notes"])
    assert eight.data["memory"]["arena_bytes"] > ram - 8192
