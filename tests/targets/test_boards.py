"""Board manifests: what ships is right, and what is wrong is named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from quantmcu.errors import ProblemListError, QuantMCUError, UsageError
from quantmcu.targets import Board, list_boards, load_board, load_board_file
from quantmcu.targets.clocks import clock_problems

BOARDS = list_boards()


def test_the_promised_boards_ship() -> None:
    assert [board.id for board in BOARDS] == [
        "arduino-nano33-ble",
        "disco-f746",
        "nucleo-f411",
        "nucleo-f446",
        "nucleo-f746",
        "nucleo-f767",
        "nucleo-g474",
        "nucleo-h743",
        "nucleo-h7a3",
        "nucleo-l4r5",
        "nucleo-u575",
        "pico",
        "portenta-h7",
        "qemu-m4",
        "qemu-m7",
    ]


def test_nucleo_f767() -> None:
    """RM0410 rev 4, section 2.3 and table 3; UM1974."""
    board = load_board("nucleo-f767")
    assert (board.core, board.fpu, board.has_dsp, board.clock_hz) == ("cortex-m7", "fpv5-d16", True, 216_000_000)
    assert (board.flash_bytes, board.ram_bytes) == (2 * 1024 * 1024, 512 * 1024)
    assert board.region("dtcm").origin == 0x20000000
    assert board.region("itcm").roles == ("code",)
    assert [region.name for region in board.regions_for("arena")] == ["dtcm", "sram"]
    assert board.region("sram").origin == board.region("dtcm").end
    assert (board.usb[0].vid, board.usb[0].pid) == (0x0483, 0x374B)


# Core clock = input / M * N / (P or R), worked out by hand from the reference manuals; and the UART's clock.
CLOCKS = {
    "arduino-nano33-ble": (64_000_000, 16_000_000),
    "disco-f746": (25_000_000 // 25 * 432 // 2, 108_000_000),
    "nucleo-f411": (8_000_000 // 4 * 100 // 2, 50_000_000),
    "nucleo-f446": (8_000_000 // 4 * 180 // 2, 45_000_000),
    "nucleo-f746": (8_000_000 // 4 * 216 // 2, 54_000_000),
    "nucleo-f767": (8_000_000 // 4 * 216 // 2, 54_000_000),
    "nucleo-g474": (24_000_000 // 6 * 85 // 2, 170_000_000),
    "nucleo-h743": (8_000_000 // 4 * 480 // 2, 120_000_000),
    "nucleo-h7a3": (8_000_000 // 4 * 140, 140_000_000),
    "nucleo-l4r5": (16_000_000 // 2 * 30 // 2, 120_000_000),
    "nucleo-u575": (16_000_000 // 4 * 80 // 2, 160_000_000),
    "pico": (12_000_000 * 125 // 6 // 2, 125_000_000),
    "portenta-h7": (25_000_000 // 5 * 192 // 2, 120_000_000),
    "qemu-m4": (25_000_000, 25_000_000),
    "qemu-m7": (25_000_000, 25_000_000),
}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.id)
def test_clocks(board: Board) -> None:
    assert (board.clock_hz, board.console.clock_hz) == CLOCKS[board.id]
    assert clock_problems(board) == []


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.id)
def test_stack_is_at_the_bottom_of_the_first_data_region(board: Board) -> None:
    (stack,) = board.regions_for("stack")
    assert board.regions_for("data") == (stack,)
    assert board.region_of(stack.origin - 4) is None, "an overflow must leave the memory"


@pytest.mark.parametrize(
    ("wish", "suggestion"),
    [("nucleo-f76", "nucleo-f767"), ("NUCLEO-F767ZI", "nucleo-f767"), ("nano33", "arduino-nano33-ble")],
)
def test_unknown_board_names_near_ones(wish: str, suggestion: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_board(wish)
    text = str(caught.value)
    assert f"--board: unknown board {wish!r}" in text
    assert f"did you mean {suggestion}" in text
    assert "`quantmcu boards`" in text


def test_unknown_board_without_near_ones_lists_all() -> None:
    with pytest.raises(UsageError, match=r"the boards are arduino-nano33-ble, disco-f746") as caught:
        load_board("zzz")
    assert "did you mean" not in str(caught.value)


@pytest.fixture
def manifest() -> dict[str, Any]:
    return copy.deepcopy(dict(load_board("nucleo-f767").manifest))


def problems_of(tmp_path: Path, manifest: dict[str, Any]) -> list[str]:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(manifest))
    with pytest.raises(ProblemListError) as caught:
        load_board_file(path)
    return [str(problem) for problem in caught.value.problems]


def test_a_manifest_of_the_users_own(tmp_path: Path, manifest: dict[str, Any]) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(manifest))
    assert load_board(str(path)).id == "mine"


def test_schema_problems_are_all_reported_with_file_and_key(tmp_path: Path, manifest: dict[str, Any]) -> None:
    del manifest["quantmcu"]["clock"]["pll_n"]
    manifest["quantmcu"]["memory"][1]["size"] = -1
    manifest["quantmcu"]["core"] = "cortex-a7"
    manifest["upload"]["protocol"] = "telepathy"
    problems = problems_of(tmp_path, manifest)
    assert len(problems) == 4
    assert any(p.startswith("mine.json: quantmcu.clock: 'pll_n' is a required property") for p in problems)
    assert any(p.startswith("mine.json: quantmcu.memory[1].size: -1 is less than the minimum") for p in problems)
    assert any(p.startswith("mine.json: quantmcu.core: 'cortex-a7' is not one of") for p in problems)
    assert any(p.startswith("mine.json: upload.protocol: 'telepathy' is not one of") for p in problems)


def test_contradictions_are_reported_with_file_and_key(tmp_path: Path, manifest: dict[str, Any]) -> None:
    manifest["build"]["f_cpu"] = "200000000L"
    manifest["upload"]["maximum_size"] = 1
    manifest["quantmcu"]["memory"][2]["origin"] = "0x20010000"
    manifest["quantmcu"]["memory"][1]["role"] = ["data", "arena"]
    manifest["quantmcu"]["port"] = "z80"
    assert problems_of(tmp_path, manifest) == [
        "mine.json: build.f_cpu: is 200000000 Hz, but quantmcu.clock.core_hz is 216000000 Hz",
        "mine.json: upload.maximum_size: is 1, but the flash regions have 2097152",
        "mine.json: quantmcu.memory: 0 regions have the role 'stack'; there must be one",
        "mine.json: quantmcu.memory: the regions 'dtcm' and 'sram' overlap",
        "mine.json: quantmcu.port: there is no firmware/ports/z80.c",
    ]


@pytest.mark.parametrize(("text", "what"), [("{", "no valid JSON"), (None, "cannot read")])
def test_unreadable_manifest(tmp_path: Path, text: str | None, what: str) -> None:
    path = tmp_path / "mine.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(QuantMCUError, match=what) as caught:
        load_board_file(path)
    assert caught.value.where == str(path)
