"""`quantmcu explore`: its points, marks, picture and errors."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest

from tests.cli.conftest import Command
from tests.onnx_models import make_model, node

SVG = "{http://www.w3.org/2000/svg}"


def test_points_marks_and_picture(
    quantmcu_command: Command, small_model: Path, photos: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "bits.svg"
    status, out, messages = quantmcu_command(
        "explore", small_model, "--board", "nucleo-f411", "--calib", photos, "--preprocess", "signed",
        "--lam", 0.9, "--lam", 0, "--bitops-reduction", 1.5, "--picture", picture, "--json",
    )  # fmt: skip
    assert status == 0, messages
    found = json.loads(out)
    points = found["points"]
    assert [point["family"] for point in points] == [
        "8 bits", "weights", "weights", "vdqs", "vdqs", "together", "baseline", "baseline", "baseline",
    ]  # fmt: skip
    assert [point["setting"] for point in points if point["setting"] is not None] == [0.9, 0, 1.5]
    assert found["metric"] == "top-1"
    assert found["samples"] == 3  # of 8
    eight, narrow, together = points[0], points[4], points[5]
    assert eight["bitops_reduction"] == 1
    assert eight["narrow_maps"] == {}
    assert narrow["narrow_maps"]["4"] > 0
    assert narrow["bitops"] < eight["bitops"]
    assert together["bitops_reduction"] >= 1.5
    assert together["weight_bits"]["4"] > 0
    assert narrow["options"] == "--bits mixed --lam 0"

    def quality(point: dict) -> tuple[float, float]:
        return point["accuracy"]["top1"], point["accuracy"]["sqnr_db"]

    for cost, flag in (("bitops", "unbeaten_in_bitops"), ("cycles", "unbeaten_in_cycles")):
        for point in points:
            better = [
                other
                for other in points
                if other[cost] <= point[cost]
                and quality(other) >= quality(point)
                and (other[cost], quality(other)) != (point[cost], quality(point))
            ]
            assert point[flag] == (not better)

    root = ElementTree.fromstring(picture.read_text())
    assert root.tag == f"{SVG}svg"
    titles = [title.text or "" for title in root.iter(f"{SVG}title")]
    assert len(titles) == 2 * len(points)
    assert sum("VDQS, lambda 0.9" in title for title in titles) == 2


def test_for_latency_the_options_say_so(quantmcu_command: Command, small_model: Path, photos: Path) -> None:
    status, out, messages = quantmcu_command(
        "explore", small_model, "--board", "nucleo-f411", "--calib", photos, "--preprocess", "signed",
        "--lam", 0.9, "--bitops-reduction", 1.5, "--objective", "latency", "--json",
    )  # fmt: skip
    assert status == 0, messages
    points = {point["family"]: point for point in json.loads(out)["points"]}
    assert points["vdqs"]["options"] == "--bits mixed --lam 0.9 --objective latency"
    assert points["together"]["options"] == "--bits mixed --bitops-reduction 1.5 --objective latency"
    assert points["together"]["cycles"] <= points["8 bits"]["cycles"]


def test_phi_beside_random_patches(quantmcu_command: Command, small_model: Path, photos: Path) -> None:
    status, out, messages = quantmcu_command(
        "explore", small_model, "--board", "nucleo-f767", "--calib", photos, "--preprocess", "signed",
        "--lam", 0, "--bitops-reduction", 2, "--phi", 0.99, "--patch", "3x3", "--split-at", "a", "--json",
    )  # fmt: skip
    assert status == 0, messages
    eight, *_, divided, random = json.loads(out)["points"]
    assert (divided["family"], divided["setting"], random["family"]) == ("vdpc", 0.99, "baseline")
    assert divided["options"] == "--bits mixed --lam 0 --vdpc dynamic --phi 0.99"
    assert (divided["bitops"], divided["cycles"]) == (random["bitops"], random["cycles"])
    assert divided["narrow_maps"]["4"] > 0
    assert divided["accuracy"]["sqnr_db"] < eight["accuracy"]["sqnr_db"]


def test_phi_is_left_out_where_nothing_can_be_divided(
    quantmcu_command: Command, small_model: Path, photos: Path
) -> None:
    status, out, messages = quantmcu_command(
        "explore", small_model, "--board", "nucleo-f767", "--calib", photos, "--preprocess", "signed",
        "--lam", 0.8, "--bitops-reduction", 2, "--phi", 0.9,
    )  # fmt: skip
    assert status == 0
    assert messages.count("VDPC is left out: ") == 1
    assert "VDPC" not in out


def test_the_table_fits_80_columns(quantmcu_command: Command, small_model: Path, photos: Path) -> None:
    status, text, messages = quantmcu_command(
        "explore", small_model, "--board", "nucleo-f767", "--calib", photos, "--preprocess", "signed",
        "--lam", 0.8, "--bitops-reduction", 2,
    )  # fmt: skip
    assert status == 0
    assert max(map(len, text.splitlines())) <= 80
    assert "VDQS, lambda 0.8" in text
    assert "on 3 held-out samples" in " ".join(text.split())
    assert "4 of 8: VDQS, lambda 0.8 ..." in messages


def test_without_labels_and_too_large(quantmcu_command: Command, small_model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(6, 3, 16, 16)).astype(np.float32))
    status, text, _ = quantmcu_command(
        "explore", small_model, "--board", "nucleo-f411", "--calib", tmp_path / "x.npy", "--lam", 0.5,
        "--bitops-reduction", 2, "--ram", 500,
    )  # fmt: skip
    assert status == 0
    lines = [line for line in text.splitlines() if " / " in line]
    assert len(lines) == 8
    assert all(line.startswith("! ") for line in lines)
    assert "none fits nucleo-f411" in text
    assert "share of samples with the float model's class, on 2 held-out samples" in " ".join(text.split())


def test_a_model_that_is_no_classifier(quantmcu_command: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(0, 0.3, (3, 3, 3, 3)).astype(np.float32) for name in ("a", "b")}
    nodes = [
        node("Conv", ["x", "a"], "c", pads=[1] * 4),
        node("Relu", ["c"], "r"),
        node("Conv", ["r", "b"], "y", pads=[1] * 4),
    ]
    onnx.save(make_model(nodes, {"x": [1, 3, 8, 8]}, ["y"], weights), str(tmp_path / "m.onnx"))
    np.save(tmp_path / "x.npy", rng.normal(size=(6, 3, 8, 8)).astype(np.float32))
    status, out, _ = quantmcu_command(
        "explore", tmp_path / "m.onnx", "--board", "nucleo-f411", "--calib", tmp_path / "x.npy", "--lam", 0.5,
        "--bitops-reduction", 2, "--picture", tmp_path / "p.svg", "--json",
    )  # fmt: skip
    assert status == 0
    found = json.loads(out)
    assert (found["metric"], found["float"]) == ("sqnr_db", None)
    assert found["points"][0]["accuracy"]["top1"] is None
    best = max(found["points"], key=lambda point: point["accuracy"]["sqnr_db"])
    assert best["unbeaten_in_bitops"]
    assert "signal to noise of the outputs, on 2 held-out samples" in (tmp_path / "p.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--calib-limit", 2), "needs at least 3 calibration samples, one of 3 is held out; there are 2"),
        (("--lam", 2), "--lam: 2 is out of range"),
        (("--bitops-reduction", 9), "9 times fewer BitOPs are not possible"),
        (("--information", "taste"), "'taste' is not one of 'measured', 'sqnr', 'entropy'"),
        (("--phi", 1), "--phi: 1 is out of range"),
        (("--phi", 0.9, "--patch", "off"), "needs patches, and --patch is off"),
        (("--picture", "/nowhere/bits.svg"), "there is no such folder"),
    ],
)
def test_errors(
    quantmcu_command: Command, small_model: Path, photos: Path, arguments: tuple[object, ...], expected: str
) -> None:
    given = ("--board", "nucleo-f411", "--calib", photos, "--preprocess", "signed", *arguments)
    status, out, messages = quantmcu_command("explore", small_model, *given)
    assert status == 2
    assert expected in " ".join(messages.split())
    assert out == ""


def test_data_is_asked_for(quantmcu_command: Command, small_model: Path) -> None:
    status, _, messages = quantmcu_command("explore", small_model, "--board", "nucleo-f411")
    assert status == 2
    assert "no calibration data" in messages
