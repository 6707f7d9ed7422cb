"""Every command, as a user types it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from quantmcu.cli.output import Output
from quantmcu.report.tables import facts_table, next_steps, plain_table
from quantmcu.results import Result
from tests.cli.conftest import Command


def document(command: Command, *arguments: object) -> Any:
    """The JSON on standard output, which must hold nothing else."""
    status, out, _ = command(*arguments, "--json")
    assert status == 0
    return json.loads(out)


def test_compile_measure_validate(quantmcu_command: Command, small_model: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "net"
    options = ("--board", "nucleo-f411", "--calib", photos, "--preprocess", "signed", "--out", out)
    status, text, messages = quantmcu_command("compile", small_model, *options)
    assert status == 0
    assert "fits ST Nucleo-F411RE" in text
    assert "quantmcu measure" in text
    assert "build ..." in messages
    expected = {"firmware.elf", "firmware.bin", "quantized.onnx", "float.onnx", "result.json", "report.html"}
    assert expected | {"calibration.jpg", "platformio.ini", "src", "platform", "program.npz", "preprocess.toml"} == {
        path.name for path in out.iterdir()
    }

    status, text, _ = quantmcu_command("measure", out, "--runs", 2)
    assert status == 0
    assert "estimated" in text
    assert "100 MHz" in text
    assert "expect" in text

    result = document(quantmcu_command, "validate", out, "--data", photos, "--on", "emulator")
    assert result["validation"]["differing_bytes"] == 0
    assert result["validation"]["bytes_compared"] == 8 * 4
    assert result["accuracy"]["n"] == 8
    assert result["latency"]["cycles"] > 0
    assert result == json.loads((out / "result.json").read_text())


def test_measure_on_a_pseudo_terminal_is_no_estimate(quantmcu_command: Command, compiled: Result) -> None:
    """The emulator stands in for a board, behind a real serial port."""
    from tests.cli.emulated_board import emulated_board

    with emulated_board(compiled) as port:
        result = document(quantmcu_command, "measure", compiled.folder, "--on", "device", "--port", port, "--runs", 2)
        assert result["latency"]["source"] == "device"
        assert result["latency"]["band_ms"] is None
        assert result["latency"]["conditions"]["memory_effects_modelled"] is True
        assert port in result["latency"]["conditions"]["runner"]
        checked = document(
            quantmcu_command,
            "validate",
            compiled.folder,
            "--data",
            "random",
            "--limit",
            3,
            "--on",
            "device",
            "--port",
            port,
        )
    assert checked["validation"]["reference_samples"] == 3


def test_no_build_writes_the_project_only(quantmcu_command: Command, small_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "net"
    options = ("--board", "nucleo-f767", "--calib", "random", "--out", out, "--no-build")
    status, text, messages = quantmcu_command("compile", small_model, *options)
    assert status == 0
    assert "not built" in text
    assert "random inputs" in messages
    assert not (out / "firmware.elf").exists()
    assert quantmcu_command("validate", out, "--data", "random", "--limit", 2)[0] == 0
    status, _, messages = quantmcu_command("measure", out)
    assert status == 2
    assert "compile without --no-build" in messages


def test_report_and_comparison(quantmcu_command: Command, compiled: Result) -> None:
    (compiled.folder / "report.html").unlink()
    status, text, _ = quantmcu_command("report", compiled.folder)
    assert status == 0
    assert "dtcm" in text
    assert (compiled.folder / "report.html").is_file()
    compared = document(quantmcu_command, "report", compiled.folder, compiled.folder)
    rows = compared["figures"]
    macs = next(row for row in rows if row["name"] == "MACs")
    assert macs["left"] == macs["right"] == compiled.data["model"]["macs"]
    assert macs["ratio"] == 1
    assert compared["differences"] == []
    assert all(row["left"] == row["right"] for row in compared["layers"])


def test_a_comparison_as_a_page(quantmcu_command: Command, compiled: Result, tmp_path: Path) -> None:
    page = tmp_path / "compare.html"
    status, text, _ = quantmcu_command("report", compiled.folder, compiled.folder, "--html", page)
    assert status == 0
    assert "Ratio" in text
    assert "Two results compared" in page.read_text()
    status, _, _ = quantmcu_command("report", compiled.folder, "--html", page)
    assert status == 0
    assert page.read_text() == (compiled.folder / "report.html").read_text()
    status, _, messages = quantmcu_command("report", compiled.folder, "--html", tmp_path / "missing" / "page.html")
    assert status == 3
    assert "cannot write page.html" in messages


def test_inspect(quantmcu_command: Command, small_model: Path) -> None:
    found = document(quantmcu_command, "inspect", small_model)
    assert found["problems"] == []
    assert found["operators"]["Conv"] == 2
    status, text, _ = quantmcu_command("inspect", small_model)
    assert status == 0
    assert "DepthwiseConv2D" in text or "Conv2D" in text


def test_boards_operators_doctor(quantmcu_command: Command) -> None:
    boards = document(quantmcu_command, "boards")
    assert {"id", "name", "core", "clock_hz", "flash_bytes", "ram_bytes"} == set(boards[0])
    assert "nucleo-f767" in {board["id"] for board in boards}
    operators = document(quantmcu_command, "ops")
    assert "Conv" in {row["operator"] for row in operators}
    checks = document(quantmcu_command, "doctor")
    assert all(check["ok"] for check in checks if check["required"])


def test_names_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    table = facts_table([("fact", "tensor:0:x")])
    rows = plain_table("Name")
    rows.add_row("pip install quantmcu[zig] :warning:")
    Output().show({}, table, rows, "Page: [red]/report.html")
    text = capsys.readouterr().out
    for part in ("tensor:0:x", "quantmcu[zig] :warning:", "Page: [red]/report.html"):
        assert part in text


def test_next_steps_can_be_pasted(
    compiled: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = shutil.copytree(compiled.folder, Path("my nets"))
    Output().show({}, next_steps(Result.load(folder), ("quantmcu boards", "all boards")))
    text = capsys.readouterr().out
    assert "quantmcu flash 'my nets'   (upload to the board)" in text
    assert "quantmcu boards   (all boards)" in text


@pytest.mark.slow
def test_a_board_of_ones_own(quantmcu_command: Command, tmp_path: Path) -> None:
    from quantmcu.resources import data_folder

    manifest = tmp_path / "mine.json"
    manifest.write_text((data_folder("boards") / "nucleo-f767.json").read_text())
    status, text, _ = quantmcu_command("boards", "--check", manifest)
    assert status == 0
    assert "is a good manifest" in " ".join(text.split())
    manifest.write_text("{}")
    status, _, messages = quantmcu_command("boards", "--check", manifest)
    assert status == 2
    assert "'build' is a required property" in messages


@pytest.mark.parametrize("arguments", [("boards",), ("ops",), ("doctor",), ("--help",), ("compile", "--help")])
def test_tables_fit_80_columns(quantmcu_command: Command, arguments: tuple[str, ...]) -> None:
    _, text, _ = quantmcu_command(*arguments)
    lines = text.splitlines()
    assert lines
    assert max(map(len, lines)) <= 80
    assert all(line == line.rstrip() for line in lines)


def test_result_tables_fit_80_columns(quantmcu_command: Command, compiled: Result) -> None:
    quantmcu_command("measure", compiled.folder, "--runs", 1)
    _, text, _ = quantmcu_command("report", compiled.folder)
    assert max(map(len, text.splitlines())) <= 80 + len(str(compiled.folder))
