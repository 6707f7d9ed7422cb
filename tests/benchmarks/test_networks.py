"""The benchmark of whole networks: its baseline, its figures, its output."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks import cmsis_nn, picture, tables
from benchmarks.document import write_document
from benchmarks.mobilenetv2 import write_mobilenetv2
from benchmarks.networks import published
from benchmarks.suite import Network
from quantmcu.errors import UsageError

# Cycles per MAC as the submissions are usually quoted.
SILICON = {
    ("cortex-m4", "ST X-CUBE-AI 9"): {"ic": 1.585, "vww": 1.425, "kws": 1.951, "ad": 2.39},
    ("cortex-m7", "ST X-CUBE-AI 9"): {"ic": 0.915, "vww": 0.890, "kws": 1.193, "ad": 1.30},
    ("cortex-m7", "Plumerai 1.1"): {"ic": 1.086, "vww": 0.983, "kws": 1.443, "ad": 1.40},
}
MACS = {"ic": 12_501_632, "vww": 7_489_664, "kws": 2_656_768, "ad": 264_192}


@pytest.mark.parametrize(("core", "stack"), SILICON)
def test_published_times_and_clocks_give_the_quoted_cycles_per_mac(core: str, stack: str) -> None:
    for network, quoted in SILICON[core, stack].items():
        found = {entry["stack"]: cycles for entry, cycles in tables.silicon_of(published(), core, network)}
        assert found[stack] / MACS[network] == pytest.approx(quoted, rel=0.005)


def test_every_figure_has_a_source() -> None:
    figures = published()
    assert figures["source"]
    assert all(figures[part]["source"] for part in ("flash_bytes", "goals", "cmsis_nn"))


def test_mobilenetv2_has_the_macs_of_the_paper(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    write_mobilenetv2(path, width=1.0, size=224)
    layers, left_out = cmsis_nn.layers_of(path)
    assert sum(layer.macs for layer in layers) == pytest.approx(300e6, rel=0.01)
    assert left_out == ["Add"] * 10
    assert {layer.function for layer in layers} == {"convolve", "depthwise", "avgpool", "fully_connected"}


def test_an_absent_model_has_a_reason(tmp_path: Path) -> None:
    assert Network("x", "x", None, lambda _: tmp_path / "none.onnx").missing() == f"there is no {tmp_path}/none.onnx"
    assert Network("x", "x", None, lambda folder: folder / "made.onnx").missing() is None, "it is made when needed"


def layer(function: str, channels: tuple[int, int], size: int, kernel: int) -> cmsis_nn.Layer:
    """A layer of stride 1 that keeps the size of its map."""
    before, after = channels
    shape = (1, kernel, kernel, after) if function == "depthwise" else (after, kernel, kernel, before)
    macs = size * size * math.prod(shape)
    return cmsis_nn.Layer(
        function, function, (1, size, size, before), shape, (1, size, size, after), (1, 1), (1, 1), (kernel // 2,) * 2,
        math.prod(shape), macs,
    )  # fmt: skip


@pytest.mark.gcc
@pytest.mark.slow
def test_the_baseline_runs_the_dsp_code_of_cmsis_nn() -> None:
    if reason := cmsis_nn.available():
        pytest.skip(reason)
    layers = [layer("convolve", (64, 64), 8, 1), layer("depthwise", (64, 64), 8, 3)]
    result = cmsis_nn.measure(layers, "cortex-m4")
    pointwise, depthwise = (row["cycles"] / row["macs"] for row in result["layers"])
    assert 2.2 < pointwise < 2.9, "the plain C fallback takes above 10"
    assert 8 < depthwise < 12


def report() -> dict[str, Any]:
    """Made up figures of one network on both cores."""
    rows = [
        {"board": board, "core": core, "toolchain": "gcc", "cycles": cycles, "cycles_with_memory_model": cycles * 1.1,
         "arena_bytes": 36_864, "stack_need_bytes": 900, "compiler": "arm-none-eabi-gcc 12",
         "flags": ["-O2"], "flash_bytes": 200_000, "network_code_bytes": 20_000,
         "compile_seconds": 5.0,
         "layers": [{"operator": "Convolution", "kind": "pointwise", "kernel": "k", "shape": [1, 2],
                     "macs": 10_000, "cycles": 20_000.0,
                     "cycles_with_memory_model": 30_000.0}]}
        for board, core, cycles in (("nucleo-l4r5", "cortex-m4", 20e6), ("nucleo-f767", "cortex-m7", 8e6))
    ]  # fmt: skip
    other = {"name": "x", "function": "convolve", "kind": "pointwise", "macs": 10_000, "cycles": 26_000}
    baseline = [{"core": "cortex-m4", "level": "-O2", "cycles": 40e6, "layers": [other]}]
    network = {"id": "ic", "published": "ic", "title": "IC", "macs": MACS["ic"], "quantmcu": rows, "cmsis_nn": baseline}
    skipped = [{"network": "kws", "what": "all", "why": "there is no kws.onnx"}]
    return {"commit": "0123", "conditions": {"runner": "emulator"}, "networks": [network], "skipped": skipped}


def test_tables_name_goals_limits_verdicts_and_what_was_skipped() -> None:
    console = Console(width=160, record=True, file=io.StringIO())
    tables.show(report(), published(), console, layers=True)
    text = console.export_text()
    assert "1.35 missed" in text, "20 M cycles are 1.6 for each MAC"
    assert "0.70 met" in text
    assert "36,864 met (36,864)" in text
    assert "200,000 missed (192,973)" in text
    assert "slower" in text
    assert "faster" in text
    assert "skipped kws (all): there is no kws.onnx" in text


def test_a_document_gets_the_tables_between_its_marks(tmp_path: Path) -> None:
    path = tmp_path / "p.md"
    marks = "".join(f"<!-- begin {n} -->\nold\n<!-- end {n} -->\n" for n in ("conditions", "networks", "missed"))
    path.write_text(f"before\n{marks}after\n")
    for _ in range(2):
        write_document(path, report(), published())
        lines = path.read_text().splitlines()
        assert (lines[0], lines[-1]) == ("before", "after")
        assert "old" not in lines
        assert "- commit 0123; arm-none-eabi-gcc 12 -O2" in lines
        assert "- not measured: kws (all): there is no kws.onnx" in lines
        assert "| pointwise | cortex-m4 | 1 | 2.00 to 2.00 (2.00) | 2.60 to 2.60 (2.60) |" in lines
        assert "| Convolution | k | 1x2 | 10,000 | 20,000 | 2.000 | 30,000 | 3.000 |" in lines, "M4 misses its goal"
        assert sum(line.startswith("**IC on") for line in lines) == 1, "M7 meets its own"
    path.write_text("nothing")
    with pytest.raises(UsageError, match="no marks of conditions"):
        write_document(path, report(), published())


def test_the_picture_is_the_same_every_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib: pip install 'quantmcu[bench]'")
    for name in ("a.svg", "b.svg"):
        assert picture.draw(json.loads(json.dumps(report())), published(), tmp_path / name) is None
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert "ST X-CUBE-AI 9" in (tmp_path / "a.svg").read_text()
