"""`quantmcu boards --check`: what ships passes, what is wrong is named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from quantmcu.board_check import check_board
from quantmcu.resources import data_folder
from quantmcu.targets import Board, list_boards, load_board

BOARDS = [board for board in list_boards() if board.qemu_machine is None]


@pytest.mark.slow
@pytest.mark.gcc
@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.id)
def test_what_ships_is_good(board: Board) -> None:
    """A network of real kernels boots and agrees with the reference byte for byte: on each core, with its own clock."""
    check = check_board(data_folder("boards") / f"{board.id}.json", toolchain="gcc")
    assert check.problems == ()
    assert check.greeting.startswith(f"QuantMCU: check on {board.id} at {board.clock_hz} Hz")


@pytest.mark.slow
@pytest.mark.parametrize("board", {board.core: board for board in BOARDS}.values(), ids=lambda board: board.id)
def test_a_board_of_each_core_is_good_with_zig(board: Board) -> None:
    """That every board links with it, tests/build/test_build.py tells."""
    pytest.importorskip("ziglang")
    assert check_board(data_folder("boards") / f"{board.id}.json", toolchain="zig").problems == ()


@pytest.fixture
def manifest() -> dict[str, Any]:
    return copy.deepcopy(dict(load_board("nucleo-g474").manifest))


def problems(folder: Path, manifest: dict[str, Any]) -> list[str]:
    path = folder / "mine.json"
    path.write_text(json.dumps(manifest))
    return [str(problem) for problem in check_board(path).problems]


def test_a_file_that_is_no_manifest(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text("{}")
    assert [problem.where for problem in check_board(path).problems] == ["mine.json: $"] * 6


def test_wrong_clock_arithmetic(tmp_path: Path, manifest: dict[str, Any]) -> None:
    manifest["quantmcu"]["clock"]["pll_n"] = 84
    manifest["quantmcu"]["console"]["clock_hz"] = 85_000_000
    assert problems(tmp_path, manifest) == [
        "mine.json: quantmcu.clock: the recipe gives 168,000,000 Hz, but core_hz is 170,000,000 Hz",
        "mine.json: quantmcu.console.clock_hz: is 85,000,000 Hz, but the bus runs at 170,000,000 Hz",
    ]


def test_a_baud_rate_that_the_uart_cannot_do(tmp_path: Path) -> None:
    manifest = copy.deepcopy(dict(load_board("nucleo-f767").manifest))
    manifest["quantmcu"]["console"]["baud"] = 20_000_000
    assert problems(tmp_path, manifest) == [
        "mine.json: quantmcu.console.baud: is 20,000,000, but the nearest that the UART can do is 18,000,000",
    ]


def test_overlapping_regions(tmp_path: Path, manifest: dict[str, Any]) -> None:
    manifest["quantmcu"]["memory"].append(
        {"name": "ccm", "kind": "ram", "origin": "0x20018000", "size": 32768, "role": ["code"]}
    )
    assert problems(tmp_path, manifest) == [
        "mine.json: quantmcu.memory: the regions 'sram' and 'ccm' overlap",
    ]


@pytest.mark.gcc
@pytest.mark.slow
def test_a_ready_flag_that_never_comes(tmp_path: Path, manifest: dict[str, Any]) -> None:
    del manifest["quantmcu"]["emulator"]["registers"][0]["mirrors"]
    (problem,) = problems(tmp_path, manifest)
    assert "the firmware does not come to its greeting, but prints 'QUANTMCU CLOCK: no external clock (HSE)" in problem
    assert "hint: docs/adding-a-board.md" in problem


@pytest.mark.gcc
@pytest.mark.slow
def test_memory_that_is_too_small(tmp_path: Path, manifest: dict[str, Any]) -> None:
    manifest["quantmcu"]["memory"][0]["size"] = manifest["upload"]["maximum_size"] = 8192
    (problem,) = problems(tmp_path, manifest)
    assert "flash" in problem
