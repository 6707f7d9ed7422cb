"""The page: valid HTML, self-contained, and with the figures of result.json."""

from __future__ import annotations

import copy
import io
import re
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest
from rich.console import Console

import quantmcu
import quantmcu.report
from quantmcu.frontend import load_onnx
from quantmcu.report import charts, render_comparison, render_report
from quantmcu.report.charts import flattened, timeline
from quantmcu.report.comparison import compare_layers, compare_results, differences
from quantmcu.report.tables import layers
from quantmcu.report.text import count, ending, milliseconds, percent, sentence, size
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
    """The page's tree; raises on any breach of HTML's syntax, and where a table has two heads."""
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)
    for table in tree.iter("table"):
        assert [child.tag for child in table] in (["thead", "tbody"], ["tbody"])
    return tree


def test_a_complete_page_is_valid_and_holds_the_figures(complete: Result) -> None:
    page = (complete.folder / "report.html").read_text()
    assert page == render_report(complete.data, (complete.folder / "calibration.jpg").read_bytes())
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
    page = render_report(with_classes(complete.data), (complete.folder / "calibration.jpg").read_bytes())
    references = re.findall(r"\b(?:src|href|srcset|action|data)\s*=\s*(.{16})", page)
    assert references == ['"data:image/jpeg']
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


def test_timeline_marks_the_peak_and_stacks_the_regions() -> None:
    uses = {"a": (10, 0), "b": (30, 10), "c": (0, 20)}
    steps = [
        {"step": name, "live_bytes": fast + slow, "by_region": {"fast": fast, "slow": slow}}
        for name, (fast, slow) in uses.items()
    ]
    chart = timeline({"timeline": steps, "arena_by_region": {"fast": 30, "slow": 20}})
    assert (chart.peak, chart.peak_bytes, chart.regions) == (1, 40, ["fast", "slow"])
    assert chart.peak_x == pytest.approx(400)
    a, b, c = chart.bars
    assert (a.x, b.x, c.x) == (0, pytest.approx(800 / 3), pytest.approx(1600 / 3))
    below, above = b.parts
    assert below.y + below.height == pytest.approx(220)
    assert above.y + above.height == pytest.approx(below.y)
    assert above.y == pytest.approx(chart.peak_y)
    assert below.height == pytest.approx(3 * above.height)
    assert [part.region for part in c.parts] == [1]
    assert b.label == "b: 40 bytes (30 in fast, 10 in slow)"
    assert timeline({"timeline": steps, "arena_by_region": {"fast": 30, "slow": 20}}, most=80).bars[1].parts[
        0
    ].height == pytest.approx(below.height / 2)


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
    assert (rows["latency, ms"].change, rows["latency, ms"].judgement) == ("2.000", "worse")
    assert rows["MACs"].judgement == ""
    assert rows["accuracy, float"].right is None
    assert rows["accuracy, float"].ratio is None
    assert rows["accuracy, float"].change == ""


def test_comparison_of_accuracies(complete: Result) -> None:
    other = copy.deepcopy(complete.data)
    other["accuracy"]["quantized"] = complete.data["accuracy"]["quantized"] - 0.125
    row = next(row for row in compare_results(complete.data, other) if row.name == "accuracy, quantized")
    assert (row.change, row.judgement) == ("-12.5 points", "worse")


def test_layers_are_matched_by_name(complete: Result) -> None:
    other = copy.deepcopy(complete.data)
    first, second, *_ = other["steps"]
    second["output_bits"] = 4
    added = first | {"name": "added"}
    other["steps"].insert(1, added)
    other["latency"]["by_layer"][1]["cycles"] *= 2
    rows = compare_layers(complete.data, other)
    assert [row.name for row in rows] == [step["name"] for step in other["steps"]]
    assert [row.differs for row in rows][:3] == [False, True, True]
    assert rows[1].left is None
    assert rows[1].ratio is None
    assert (rows[2].ratio, rows[2].judgement) == (2, "worse")
    other["latency"]["by_layer"] = []
    assert {row.ratio for row in compare_layers(complete.data, other)} == {None}, "measured against predicted"


def test_what_two_results_differ_in(complete: Result) -> None:
    assert differences(complete.data, complete.data) == []
    other = with_classes(complete.data)
    other["board"]["clock_hz"] = 400_000_000
    found = {row.name: row for row in differences(complete.data, other)}
    assert set(found) == {"board", "patches"}
    assert found["patches"].right == "2x2 to a (recompute)"
    assert "400 MHz" in found["board"].right


def test_page_of_a_comparison(complete: Result) -> None:
    other = with_classes(complete.data)
    page = render_comparison(complete.data, other, ("one", "<other>"))
    text = "".join(parsed(page).itertext())
    assert "A one: small.onnx on nucleo-f767" in " ".join(text.split())
    assert "<other>" in text
    assert "2x2 to a (recompute)" in text
    assert not re.search(r"\b(src|href)\s*=|url\(|<script|https?:", page)
    same = "".join(parsed(render_comparison(complete.data, complete.data, ("one", "two"))).itertext())
    assert "Nothing: model, board, plan, bits" in same


def test_figures_as_people_read_them() -> None:
    assert [size(n) for n in (0, 1023, 1024, 1536 * 1024)] == ["0 B", "1023 B", "1.0 KiB", "1.50 MiB"]
    assert [count(n) for n in (999, 1000, 12_299_008, 3e9)] == ["999", "1.00 k", "12.3 M", "3.00 G"]
    assert [milliseconds(x) for x in (0.01234, 1.234, 51.53, 1234.5)] == ["0.0123 ms", "1.23 ms", "51.5 ms", "1234 ms"]
    assert percent(None) == "-"
    assert [sentence(text) for text in ("fits", "fits.", "")] == ["Fits.", "Fits.", "."]
    assert ending("abcdef", 4) == "…def"


def with_classes(result: dict[str, Any], mode: str = "dynamic") -> dict[str, Any]:
    """The result with a patch stage of 2x2 patches of an outlier and a narrow class, as VDPC describes it."""
    data = copy.deepcopy(result)
    tensor = data["steps"][0]["output"]
    side = [{"part": [0, 4], "receptive_field": [0, 10]}, {"part": [4, 8], "receptive_field": [7, 16]}]
    stage = {"after": None, "split_at": "a", "grid": [2, 2], "halo_mode": "recompute", "shape": [1, 8, 8, 8]}
    stage |= {"input": "image", "input_shape": [1, 16, 16, 3], "rows": side, "columns": side}
    shares = {(0, 0): 0.25, (0, 1): 0.0, (1, 0): 1.0, (1, 1): 0.5}
    branches = [
        {"stage": "a", "row": row, "column": column, "class": kind, "share": share, "bits": {tensor: bits}}
        for (row, column), outlier in shares.items()
        for kind, share, bits in (("outlier", outlier, 8), ("narrow", 1 - outlier, 4))
    ]
    plan = data["plan"] | {"stages": [stage], "branches": branches, "average_cycles": 900, "cycles": 1000}
    comparison = [{"patches": "vdpc", "share": 0.4375, "samples": 8, "agreement": 0.75, "sqnr_db": 12.5}]
    plan["vdpc"] = {"mode": mode, "tensor": "image", "low": 10, "high": 240, "fraction": 0.1, "mean": 0.5}
    plan["vdpc"] |= {"deviation": 0.2, "cells": 4, "outlier_cells": 1.75, "comparison": comparison}
    data["plan"] = plan
    data["bitops"] |= {"total": 500, "average": 400}
    return data


def test_patches_are_drawn(small_model: Path, photos: Path, tmp_path: Path) -> None:
    options = {"calibration": photos, "preprocess": "unit", "patch": "2x2", "halo": "recompute"}
    first = load_onnx(onnx.load(small_model)).ops[0].name
    result = quantmcu.compile(small_model, "nucleo-f767", out=tmp_path / "o", split_at=first, build=False, **options)
    assert result.data["steps"][0]["name"] == f"{first} patches: load image"
    (stage,) = charts.stages(result.data)
    assert (stage.rows, stage.columns, stage.width, stage.height) == (2, 2, 16, 16)
    assert stage.from_input
    parts = [patch.part for patch in stage.patches]
    assert sum(part.width * part.height for part in parts) == pytest.approx(16 * 16)
    # a 3x3 convolution of stride 2, padded by 1: of its rows 0 .. 3 and 4 .. 7
    first, last = stage.patches[0].field, stage.patches[3].field
    assert (first.x, first.y, first.width, first.height) == (0, 0, 8, 8)
    assert (last.x, last.y, last.width, last.height) == (7, 7, 9, 9)
    assert stage.patches[1].label == "patch in row 1, column 2: depends on rows 0 to 7, columns 7 to 15"
    page = (result.folder / "report.html").read_text()
    assert page.count("<image ") == 1
    assert "2x2 patches of the" in "".join(parsed(page).itertext())
    (result.folder / "calibration.jpg").unlink()
    quantmcu.report.write_report(result)
    assert "<image " not in (result.folder / "report.html").read_text()


@pytest.mark.parametrize("mode", ["dynamic", "static"])
def test_classes_of_patches_are_marked(mode: str, complete: Result) -> None:
    data = with_classes(complete.data, mode)
    (stage,) = charts.stages(data)
    assert [patch.outlier for patch in stage.patches] == [0.25, 0.0, 1.0, 0.5]
    assert stage.patches[0].label.endswith("; of the outlier class in 25 % of the calibration samples")
    page = render_report(data)
    text = "".join(parsed(page).itertext())
    assert "1.8 of 4 patches in a calibration sample" in text
    assert "of the outlier class" in text
    assert page.count('fill="var(--outlier)"') == 3
    assert page.count('class="shade"') == 4


def test_bits_of_every_branch(complete: Result) -> None:
    assert charts.bit_rows(complete.data) == []
    rows = {row.label: row for row in charts.bit_rows(with_classes(complete.data))}
    assert list(rows) == ["feature maps", "maps of outlier patches", "maps of narrow patches", "weights"]
    assert rows["maps of outlier patches"].counts == {8: 1}
    (narrow,) = rows["maps of narrow patches"].bars
    assert (narrow.bits, narrow.y) == (4, 16)
    assert len(rows["feature maps"].bars) == len(complete.data["steps"]) - 1


def test_work_against_8_bits(complete: Result) -> None:
    assert charts.operations(complete.data) == []
    bitops, cycles = charts.operations(with_classes(complete.data))
    this, worst, *others = bitops.bars
    assert (this.value, worst.value, worst.relative) == (400, 500, 1.25)
    assert [bar.label for bar in others] == ["8 bits, same patches, halos computed again", "8 bits, layer by layer"]
    assert not any(bar.is_this for bar in others)
    assert (cycles.bars[0].value, cycles.bars[0].relative) == (900, 1)
    assert max(bar.length for bar in cycles.bars) == 100


def test_cycles_that_were_not_measured_are_said_to_be_predicted(complete: Result) -> None:
    data = copy.deepcopy(complete.data)
    assert [layer.cycles for layer in charts.layers(data)] == [row["cycles"] for row in data["latency"]["by_layer"]]
    data["latency"]["by_layer"] = []
    assert [layer.cycles for layer in charts.layers(data)] == [step["predicted_cycles"] for step in data["steps"]]
    assert "Cycles are predicted by the kernels' cost models" in "".join(parsed(render_report(data)).itertext())


def test_no_patches_no_section(complete: Result) -> None:
    assert charts.stages(complete.data) == []
    assert "Patches" not in "".join(parsed(render_report(complete.data)).itertext())


def test_names_of_layers_are_whole_where_there_is_room(complete: Result) -> None:
    data = copy.deepcopy(complete.data)
    name = "/features/features.17/conv/conv.1/conv.1.0/Conv"
    data["steps"][0]["name"] = data["latency"]["by_layer"][0]["name"] = name
    shown = {}
    for width in (80, 120):
        console = Console(width=width, file=io.StringIO())
        console.print(layers(data))
        assert isinstance(console.file, io.StringIO)
        shown[width] = console.file.getvalue().splitlines()[2].split()[0]
    assert shown[120] == name
    assert shown[80].startswith("…")
    assert name.endswith(shown[80][1:])


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
    assert all(len(row) <= 80 for row in rows)
    assert ("Bits" in heading) == (weight_bits == 4)
    rows, legend = rows[: len(data["steps"])], rows[len(data["steps"]) :]
    assert "x bound: times the least" in " ".join(legend)
    for row in rows:
        assert re.search(r"88\.8 M +123,456,789 +1\.39 +6\.17 +\d+\.\d %$", row.rstrip())
