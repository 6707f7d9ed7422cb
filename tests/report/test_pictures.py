"""The pages in headless Chromium: they look as they did, fit their width, and load nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from quantmcu.report import render_comparison, render_report
from quantmcu.results import Result
from tests.report.chromium import find_chromium, layout
from tests.report.golden_pages import (
    GOLDEN,
    PICTURES,
    faster_result,
    golden_file,
    picture,
    result_with_classes,
    stored_result,
)

CHROMIUM = find_chromium()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)"),
]

# Of the pictures made smaller, in levels of 0 .. 255. Versions of Chromium differ in smoothing at edges; a word in
# another line, a missing bar, another colour are far beyond these.
MEAN_LEVELS = 1.0
CLEAR_LEVELS, CLEAR_SHARE = 40, 0.004
UPDATE = "look at both; `python -m tests.report.golden_pages` stores the new ones"


def differing(actual: Image.Image, expected: Image.Image) -> tuple[float, float]:
    """Mean difference in levels, and the share of pixels that differ clearly."""
    levels = np.abs(np.asarray(actual, np.int16) - np.asarray(expected, np.int16))
    return float(levels.mean()), float((levels.max(axis=2) > CLEAR_LEVELS).mean())


@pytest.mark.parametrize(("name", "width", "dark"), PICTURES)
def test_pages_look_as_they_did(name: str, width: int, dark: bool, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    file = golden_file(name, width, dark)
    actual = picture(CHROMIUM, name, width, dark)
    actual.save(tmp_path / file.name)
    expected = Image.open(file).convert("RGB")
    assert actual.size == expected.size, f"{tmp_path / file.name} has another size than {file}: {UPDATE}"
    mean, share = differing(actual, expected)
    assert mean < MEAN_LEVELS, f"{tmp_path / file.name} differs from {file}: {UPDATE}"
    assert share < CLEAR_SHARE, f"{tmp_path / file.name} differs from {file}: {UPDATE}"


def test_the_comparison_of_pictures_sees_small_changes() -> None:
    name, width, dark = PICTURES[0]
    expected = Image.open(golden_file(name, width, dark)).convert("RGB")
    assert differing(expected, expected) == (0, 0)
    moved = Image.new("RGB", expected.size)
    moved.paste(expected, (0, 6))  # a line of text
    mean, share = differing(moved, expected)
    assert mean > MEAN_LEVELS
    assert share > CLEAR_SHARE


@pytest.fixture(params=["result", "comparison"])
def page_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A page in the fonts of this machine."""
    if request.param == "result":
        html = render_report(result_with_classes(), (GOLDEN / "calibration.jpg").read_bytes())
    else:
        html = render_comparison(stored_result(), faster_result(), ("A", "B"))
    file = tmp_path / "page.html"
    file.write_text(html)
    return file


@pytest.mark.parametrize("width", [320, 400, 1280])
def test_nothing_sticks_out_and_nothing_is_loaded(width: int, page_file: Path) -> None:
    assert CHROMIUM is not None
    found = layout(CHROMIUM, page_file, width)
    assert found["resources"] == []
    assert found["scroll"] <= width
    assert len(found["boxes"]) > 20
    for box in found["boxes"]:
        assert box["width"] > 0, box
        assert box["height"] > 0, box
        if not box["name"].startswith("span"):  # labels of axes may touch the edge
            assert box["x"] >= -0.5, box
            assert box["x"] + box["width"] <= width + 0.5, box


def test_the_layout_tells_what_sticks_out_and_what_is_loaded(tmp_path: Path) -> None:
    assert CHROMIUM is not None
    file = tmp_path / "page.html"
    file.write_text('<!DOCTYPE html><body><img src="http://127.0.0.1:9/x.png"><p style="width: 600px">wide</p></body>')
    found = layout(CHROMIUM, file, 400)
    assert found["resources"] == ["http://127.0.0.1:9/x.png"]
    assert found["scroll"] > 600


def test_the_stored_result_is_one_of_this_version() -> None:
    """Else: compile, measure and validate anew; golden_pages.py says what."""
    assert Result.load(GOLDEN).model_name == "cifar10_mobilenetv2.onnx"
