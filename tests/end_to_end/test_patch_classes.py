"""VDPC as a user asks for it: patches of two classes, on the host, in the emulator and QEMU, timed on photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import quantmcu
from quantmcu.errors import QuantMCUError, UsageError
from quantmcu.results import Result

OPTIONS: dict[str, Any] = {"preprocess": "unit", "bits": "mixed", "lam": 0.1, "split_at": "a", "patch": "3x3"}


@pytest.fixture(scope="module")
def quiet_and_loud(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of even noise, half of them with strong noise in one corner."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(1)
    for number in range(8):
        pixels = rng.integers(90, 170, (16, 16, 3), np.uint8)
        if number % 2:
            pixels[:8, :8] = rng.integers(0, 256, (8, 8, 3))
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def compiled(model: Path, board: str, data: Path, out: Path, **options: Any) -> Result:
    return quantmcu.compile(model, board, calibration=data, out=out, **OPTIONS | options)


def branches(result: Result) -> list[tuple[int, int, str, float, int]]:
    return [(b["row"], b["column"], b["class"], b["share"], b["bits"]["r1"]) for b in result.data["plan"]["branches"]]


@pytest.mark.slow
@pytest.mark.gcc
def test_dynamic(small_model: Path, quiet_and_loud: Path, tmp_path: Path) -> None:
    result = compiled(small_model, "nucleo-f767", quiet_and_loud, tmp_path / "out", vdpc="dynamic")
    plan, bitops = result.data["plan"], result.data["bitops"]
    vdpc = plan["vdpc"]
    assert (vdpc["mode"], vdpc["tensor"], vdpc["cells"], vdpc["outlier_cells"]) == ("dynamic", "image", 9, 2.0)
    assert 0 < vdpc["low"] < 90
    assert 170 < vdpc["high"] < 255
    assert branches(result)[:4] == [
        (0, 0, "outlier", 0.5, 8), (0, 0, "narrow", 0.5, 4), (1, 0, "outlier", 0.5, 8), (1, 0, "narrow", 0.5, 4)
    ]  # fmt: skip
    assert branches(result)[-2:] == [(2, 2, "outlier", 0.0, 8), (2, 2, "narrow", 1.0, 4)]
    assert plan["halo_mode"] == "recompute"
    assert plan["average_cycles"] < plan["cycles"] or plan["average_cycles"] == pytest.approx(plan["cycles"])
    assert bitops["total"] == bitops["uniform8_patched"] > bitops["average"]
    search = result.data["search"]
    assert (search["phi"], search["lambda"], search["outlier_fraction"]) == (0.96, 0.1, pytest.approx(2 / 9, abs=1e-4))
    assert {row["patches"]: row["share"] for row in vdpc["comparison"]} == {
        "all": 1.0, "vdpc": pytest.approx(2 / 9, abs=1e-4), "random": pytest.approx(2 / 9, abs=1e-4), "none": 0.0
    }  # fmt: skip
    assert "patches at 8 bits, against the float network on 8 calibration samples: all (100%)" in str(
        result.data["compile"]["notes"]
    )
    for place in ("host", "emulator"):
        checked = quantmcu.validate(result, data=quiet_and_loud, on=place)
        assert checked.data["validation"]["differing_bytes"] == 0
        assert checked.data["validation"]["reference_samples"] == 8

    loud = quantmcu.measure(result, runs=2, data=np.zeros((1, 16, 16, 3), np.uint8), profile=False).data["latency"]
    assert loud["conditions"]["input"].startswith("1 of 1 samples, one a run: ")
    mixed = quantmcu.measure(result, runs=8, data=quiet_and_loud).data["latency"]
    assert "8 of 8 samples, one a run: 8 images" in mixed["conditions"]["input"]
    assert loud["min_cycles"] == loud["max_cycles"]
    assert len({loud["cycles"], mixed["min_cycles"], mixed["max_cycles"]}) == 3, "time follows the classes of the input"
    assert {step["name"] for step in mixed["by_layer"]} >= {f"{plan['split_at']} patches: test image", "c1_node"}
    quiet = quantmcu.measure(result, runs=2, profile=False).data["latency"]
    assert quiet["conditions"]["input"] == "random codes (seed 0), loaded for each run"


@pytest.mark.slow
@pytest.mark.gcc
@pytest.mark.qemu
def test_in_qemu(small_model: Path, quiet_and_loud: Path, tmp_path: Path) -> None:
    result = compiled(small_model, "qemu-m7", quiet_and_loud, tmp_path / "out", vdpc="dynamic", outlier_fraction=0.02)
    assert quantmcu.validate(result, data=quiet_and_loud, on="qemu").data["validation"]["differing_bytes"] == 0
    assert quantmcu.validate(result, data="random", on="qemu").data["validation"]["differing_bytes"] == 0


def test_static(small_model: Path, quiet_and_loud: Path, tmp_path: Path) -> None:
    result = compiled(small_model, "nucleo-f767", quiet_and_loud, tmp_path / "out", vdpc="static", build=False)
    assert result.data["plan"]["vdpc"]["mode"] == "static"
    classes = [(row, column, kind, bits) for row, column, kind, share, bits in branches(result) if share == 1.0]
    assert len(classes) == 9
    assert classes[:3] == [(0, 0, "outlier", 8), (1, 0, "outlier", 8), (2, 0, "narrow", 4)]
    bitops = result.data["bitops"]
    assert bitops["average"] == bitops["total"] < bitops["uniform8_patched"]
    assert quantmcu.validate(result, data=quiet_and_loud, on="host").data["validation"]["differing_bytes"] == 0


@pytest.mark.parametrize(
    ("phi", "note"), [(0.9999999, "no patch of the calibration data"), (0.05, "every patch is of the outlier class")]
)
def test_one_class_only_is_said(small_model: Path, quiet_and_loud: Path, tmp_path: Path, phi: float, note: str) -> None:
    result = compiled(
        small_model, "nucleo-f767", quiet_and_loud, tmp_path / "out", vdpc="dynamic", phi=phi, build=False
    )
    assert note in str(result.data["compile"]["notes"])


def test_auto_takes_vdpc_only_where_it_beats_random_patches(
    small_model: Path, quiet_and_loud: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan_and_notes() -> tuple[Any, str]:
        result = compiled(
            small_model, "nucleo-f767", quiet_and_loud, tmp_path / "out", halo="recompute", build=False
        )
        return result.data["plan"]["vdpc"], str(result.data["compile"]["notes"])

    monkeypatch.setattr("quantmcu.divided.LEAST_GAIN_DB", 50.0)
    vdpc, notes = plan_and_notes()
    assert vdpc is None
    assert "VDPC is not used: it has to beat random patches by 50.0 dB" in notes
    monkeypatch.setattr("quantmcu.divided.LEAST_GAIN_DB", -50.0)
    vdpc, notes = plan_and_notes()
    assert vdpc["mode"] == "dynamic"
    assert "not used" not in notes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": "8"}, "--vdpc dynamic: needs --bits mixed"),
        ({"patch": "off", "split_at": None}, "--vdpc dynamic: needs patches, and --patch is off"),
        ({"halo": "cache"}, "--vdpc dynamic: does not go with --halo cache"),
        ({"bitops_reduction": 2.0}, "--vdpc dynamic: does not go with --bitops-reduction"),
        ({"phi": 1.0}, "--phi: 1 is out of range"),
        ({"outlier_fraction": 1.0}, "--outlier-fraction: 1 is out of range"),
        ({"vdpc": "always"}, "--vdpc: unknown value 'always'"),
    ],
)
def test_contradictions(
    small_model: Path, quiet_and_loud: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        compiled(small_model, "nucleo-f767", quiet_and_loud, tmp_path / "out", **{"vdpc": "dynamic"} | options)
    assert message in str(caught.value)


def test_nothing_saved_is_said(small_model: Path, quiet_and_loud: Path, tmp_path: Path) -> None:
    result = compiled(small_model, "nucleo-f767", quiet_and_loud, tmp_path / "out", vdpc="static", lam=1.0, build=False)
    assert "all maps of the narrow branch keep 8 bits" in str(result.data["compile"]["notes"])


def test_no_stage_to_divide(small_model: Path, quiet_and_loud: Path, tmp_path: Path) -> None:
    """The only split point that the network offers by itself is behind its first layer: no map lies inside."""
    with pytest.raises(QuantMCUError, match="no patch stage whose patches could be divided") as caught:
        compiled(small_model, "nucleo-f767", quiet_and_loud, tmp_path / "out", vdpc="dynamic", split_at=None)
    assert "--split-at" in (caught.value.hint or "")


def test_no_stage_fits(small_model: Path, quiet_and_loud: Path, tmp_path: Path) -> None:
    with pytest.raises(QuantMCUError, match="no patch stage with recomputed halos fits: the smallest needs") as caught:
        compiled(small_model, "nucleo-f767", quiet_and_loud, tmp_path / "out", vdpc="dynamic", ram=9000)
    assert "--vdpc off" in (caught.value.hint or "")
