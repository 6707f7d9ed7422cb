"""The benchmark of bitwidths: halves of the images, paired errors, kept figures, tables, picture."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.bitwidths import document, picture
from benchmarks.bitwidths.cases import CASES, Case
from benchmarks.bitwidths.evaluation import Evaluation, paired_difference
from benchmarks.bitwidths.figures import CaseFigures, figures_of, unbeaten
from benchmarks.bitwidths.measure import Effort, measure_case
from benchmarks.bitwidths.rows import SECTIONS, rows_of
from benchmarks.bitwidths.store import Store

IMAGES = 12
ONLY = ("8 bits:", "stage:", "phi 0.9", "together, 2.2")


def test_errors_of_differences_are_paired() -> None:
    flags = np.array([True, True, True, False])
    assert paired_difference(flags, flags) == (0.0, 0.0), "equal answers leave no error"
    difference, error = paired_difference(np.array([True] * 4), np.array([True, True, False, False]))
    assert difference == 50
    assert error == pytest.approx(100 * np.std([0, 0, 1, 1], ddof=1) / 2)


def test_evaluations_survive_their_file_and_join() -> None:
    floats = [[np.array([[3.0, 1.0]])], [np.array([[0.0, 2.0]])], [np.array([[1.0, 0.0]])]]
    outputs = [[np.array([[2.0, 1.0]])], [np.array([[1.0, 0.0]])], [np.array([[0.0, 1.0]])]]
    whole = Evaluation.of(floats, outputs, [0, 0, 0])
    assert whole.right.tolist() == [True, True, False]
    assert whole.float_right.tolist() == [True, False, True]
    assert whole.agrees.tolist() == [True, False, False]
    assert whole.sqnr_db == pytest.approx(10 * np.log10(15 / 8))
    parts = [Evaluation.of(floats[:1], outputs[:1], [0]), Evaluation.of(floats[1:], outputs[1:], [0, 0])]
    joined = Evaluation.joined([Evaluation.from_json(part.as_json()) for part in parts])
    assert joined.as_json() == whole.as_json()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_rows_differ_and_every_vdpc_stands_beside_random_patches(case: Case) -> None:
    rows = rows_of(case)
    assert len({row.name for row in rows}) == len(rows)
    assert {row.section for row in rows} <= SECTIONS.keys()
    divided = [row for row in rows if row.classes is not None]
    assert {row.classes.mode for row in divided if row.classes} == {"dynamic", "static"}
    for tested, drawn in zip(divided[::2], divided[1::2], strict=True):
        assert drawn == replace(tested, label=drawn.label, at_random=True, is_emulated=drawn.is_emulated)


@pytest.fixture(scope="module")
def case(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A small network and some noise for it."""
    images = tmp_path_factory.mktemp("images")
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 16, 16, 3), np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(images / f"{number % 4:04}_{number}.png")
    return Case("small", "Small", small_model, images, "signed", "a_node", "8x8x8", 0.2)


@pytest.fixture(scope="module")
def measured(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Figures of some rows."""
    store = Store(tmp_path_factory.mktemp("results") / "figures.json")
    measure_case(case, store, Effort(calibration=4), ONLY, lambda text: None)
    return store


def figures(case: Case, store: Store) -> CaseFigures:
    found = figures_of(case, store)
    assert found is not None
    return found


@pytest.mark.slow
def test_every_image_counts_once(case: Case, measured: Store) -> None:
    found = figures(case, measured)
    assert found.about["calibration"] == [4, 4]
    assert found.about["images"] == IMAGES
    assert not found.problems
    for row in found.rows:
        assert len(row.accuracy.right) == IMAGES


@pytest.mark.slow
def test_baselines_have_the_bitops_of_uniform_bits_in_the_stage_at_most(case: Case, measured: Store) -> None:
    rows = {row.row.label: row for row in figures(case, measured).rows if row.row.section == "stage"}
    assert len(rows) == 6
    uniform = rows.pop("uniform: the stage's maps")
    for row in rows.values():
        assert row.fewer >= uniform.fewer > 1


@pytest.mark.slow
def test_what_is_known_is_not_measured_again(case: Case, measured: Store) -> None:
    said: list[str] = []
    again = Store(measured.path)
    measure_case(case, again, Effort(calibration=4), ONLY, said.append)
    assert not said
    entry = again.rows("small")["8 bits: own plan"]
    entry["source"] = "older"
    measure_case(case, again, Effort(calibration=4, keeps_older=True), ONLY, said.append)
    assert not said
    entry["planned_with"], costs = "older", dict(entry["costs"])
    measure_case(case, again, Effort(calibration=4, keeps_older=True), ONLY, said.append)
    assert said.pop() == "small: 8 bits: own plan (plan)"
    assert again.rows("small")["8 bits: own plan"]["costs"] == costs
    measure_case(case, again, Effort(calibration=4), ONLY, said.append)
    assert said == ["small: 8 bits: own plan"]
    assert figures(case, again).rows[0].accuracy.as_json() == figures(case, measured).rows[0].accuracy.as_json()


@pytest.mark.slow
def test_documents_get_tables_and_a_picture(case: Case, measured: Store, tmp_path: Path) -> None:
    path = tmp_path / "d.md"
    path.write_text("before\n<!-- begin small -->\nold\n<!-- end small -->\nafter\n")
    found = figures(case, measured)
    document.write(path, [found])
    text = path.read_text()
    assert "old" not in text
    assert f"{IMAGES} images in all; calibrated on 4 of the other half" in text
    assert text.count("- At most 1 point below 8 bits: ") == 2
    for row in found.rows:
        assert re.search(rf"\| {re.escape(row.row.label)}( \(\d+% at 8 bits\))? \| \d+\.\d\d \(", text)
    pytest.importorskip("matplotlib", reason="needs matplotlib: pip install 'quantmcu[bench]'")
    for name in ("a.svg", "b.svg"):
        assert picture.draw([found], tmp_path / name) is None
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.slow
def test_unbeaten_rows_are_cheaper_or_more_accurate_than_all_others(case: Case, measured: Store) -> None:
    rows = figures(case, measured).rows
    best = unbeaten(rows, lambda row: row.costs["bitops"])
    for row in rows:
        beaten = any(other.costs["bitops"] <= row.costs["bitops"] and other.top1 >= row.top1 for other in best)
        assert row in best or beaten
