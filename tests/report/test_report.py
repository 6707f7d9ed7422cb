"""The page: valid HTML, self-contained, and with the figures of result.json."""

from __future__ import annotations

import copy
import io
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import quantmcu
from quantmcu.report import charts, render_report
from quantmcu.report.charts import flattened, timeline
from quantmcu.report.comparison import compare_results
from quantmcu.report.tables import layers
from quantmcu.report.text import count, ending, milliseconds, percent, size
from quantmcu.results import Result

html5lib = pytest.importorskip("html5lib", reason="html5lib is not installed (extra `test`)")


@pytest.fixture(scope="module")
def complete(compiled_once: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A result with everything in it; not to be changed."""
    folder = tmp_path_factory.mktemp("complete") / "small"
    shutil.copytree(compiled_once, folder)
    quantmcu.measure(folder, runs=2)
    return quantmcu.validate(folder, data=photos)


def parsed(page: str) -> Any:
    """The page's tree; raises on any breach of HTML."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)


def test_a_complete_page_is_valid_and_holds_the_figures(complete: Result) -> None:
    page = (complete.folder / "report.html").read_text()
    assert page == render_report(complete.data)
    tree = parsed(page)
    text = "".join(tree.itertext())
    latency = complete.latency
    assert latency is not None
    assert milliseconds(latency.milliseconds) in text
    assert size(complete.ram_bytes) in text
    for layer in latency.layers:
        assert layer.name in text
        assert f"{layer.cycles:,}" in text
    assert "0 differ" in text
    assert complete.data["memory"]["peak_step"] in text
    assert len([element for element in tree.iter() if str(element.tag).endswith("svg")]) > len(latency.layers)


def test_a_page_before_measuring_is_valid_too(compiled: Result) -> None:
    tree = parsed((compiled.folder / "report.html").read_text())
    assert "not measured" in "".join(tree.itertext())


def test_a_page_of_a_project_without_firmware(small_model: Path, tmp_path: Path) -> None:
    result = quantmcu.compile(small_model, "nucleo-f767", calibration="random", out=tmp_path / "o", build=False)
    text = "".join(parsed((result.folder / "report.html").read_text()).itertext())
    assert "not built" in text
    assert "random inputs" in text


def test_the_page_asks_the_network_nothing(complete: Result) -> None:
    page = (complete.folder / "report.html").read_text()
    assert not re.search(r"\b(src|href|srcset|action|data)\s*=", page)
    assert not re.search(r"url\(|@import|<script|<link|https?:", page)


def test_names_cannot_break_out_of_the_page(complete: Result) -> None:
    data = copy.deepcopy(complete.data)
    evil = "</td><script>alert('x')</script>&amp;\"'"
    data["model"]["name"] = evil
    data["steps"][0]["name"] = data["memory"]["timeline"][0]["step"] = evil
    page = render_report(data)
    assert "<script" not in page
    tree = parsed(page)
    assert evil in (tree.findtext(".//title") or "")
    assert evil in "".join(tree.find(".//tbody").itertext())


def test_timeline_marks_the_peak() -> None:
    steps = [{"step": name, "live_bytes": value} for name, value in (("a", 10), ("b", 40), ("c", 20))]
    chart = timeline({"timeline": steps})
    assert chart.peak == 1
    assert chart.peak_bytes == 40
    a, b, c = chart.bars
    assert (a.x, b.x, c.x) == (0, pytest.approx(800 / 3), pytest.approx(1600 / 3))
    assert 0 < b.y < c.y < a.y < 220


def test_everything_is_in_the_table(complete: Result) -> None:
    facts = dict(flattened(complete.data))
    assert facts["model.macs"] == f"{complete.data['model']['macs']:,}"
    assert facts["latency.conditions.core"] == "cortex-m7"


def test_comparison(complete: Result) -> None:
    other = copy.deepcopy(complete.data)
    other["latency"]["ms"] *= 2
    del other["accuracy"]
    rows = {row.name: row for row in compare_results(complete.data, other)}
    assert rows["latency, ms"].ratio == 2
    assert rows["accuracy, float"].right is None
    assert rows["accuracy, float"].ratio is None


def test_figures_as_people_read_them() -> None:
    assert [size(n) for n in (0, 1023, 1024, 1536 * 1024)] == ["0 B", "1023 B", "1.0 KiB", "1.50 MiB"]
    assert [count(n) for n in (999, 1000, 12_299_008, 3e9)] == ["999", "1.00 k", "12.3 M", "3.00 G"]
    assert [milliseconds(x) for x in (0.01234, 1.234, 51.53, 1234.5)] == ["0.0123 ms", "1.23 ms", "51.5 ms", "1234 ms"]
    assert percent(None) == "-"
    assert ending("abcdef", 4) == "…def"


def test_patches_are_drawn(small_model: Path, tmp_path: Path) -> None:
    options = {"patch": "2x2", "build": False}
    result = quantmcu.compile(small_model, "nucleo-f767", calibration="random", out=tmp_path / "o", **options)
    (stage,) = charts.stages(result.data)
    assert (stage.rows, stage.columns) == (2, 2)
    assert len(stage.cells) == 4
    assert sum(width * height for _, _, width, height in stage.cells) == pytest.approx(stage.width * stage.height)
    text = "".join(parsed((result.folder / "report.html").read_text()).itertext())
    assert "2x2 patches of the" in text


def test_no_patches_no_section(complete: Result) -> None:
    assert charts.stages(complete.data) == []
    assert "Patches" not in "".join(parsed(render_report(complete.data)).itertext())


@pytest.mark.parametrize("weight_bits", [8, 4])
def test_the_table_of_layers_fits_80_columns(weight_bits: int, complete: Result) -> None:
    """Long names and large numbers: no cell is cut."""
    data = copy.deepcopy(complete.data)
    for step, timed in zip(data["steps"], data["latency"]["by_layer"], strict=True):
        step["name"] = timed["name"] = f"/features/features.17/conv/conv.{step['name']}/Conv"
        step["macs"] = timed["macs"] = 88_800_000
        step["theoretical_cycles"] = 20_000_000
        step["weight_bits"] = weight_bits
        timed["cycles"] = 123_456_789
    console = Console(width=80, file=io.StringIO())
    console.print(layers(data))
    assert isinstance(console.file, io.StringIO)
    heading, _, *rows = console.file.getvalue().splitlines()
    assert heading.split()[-1] == "Share"
    assert ("Bits" in heading) == (weight_bits == 4)
    for row in rows:
        assert re.search(r"88\.8 M +123,456,789 +1\.39 +6\.17 +\d+\.\d %$", row.rstrip())
