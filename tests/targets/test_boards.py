"""Board manifests: what ships is right, and what is wrong is named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from quantmcu.errors import ProblemListError, QuantMCUError, UsageError
from quantmcu.targets import Board, list_boards, load_board, load_board_file

BOARDS = list_boards()


def test_the_promised_boards_ship() -> None:
    assert [board.id for board in BOARDS] == [
        "arduino-nano33-ble",
        "nucleo-f411",
        "nucleo-f746",
        "nucleo-f767",
        "nucleo-h743",
        "nucleo-l4r5",
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


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.id)
def test_clock_recipe_gives_the_clock(board: Board) -> None:
    """PLL output = input / M * N / (P or R), as in the reference manuals; the UART's clock divides from it."""
    clock = {key: value for key, value in board.clock.items() if isinstance(value, int)}
    source = clock.get("hse_hz") or clock.get("hsi_hz")
    if source is None:
        assert board.port in ("nrf52", "mps2")
        return
    divider = clock.get("pll_p") or clock["pll_r"]
    assert source // clock["pll_m"] * clock["pll_n"] // divider == board.clock_hz
    bus = board.clock_hz // clock.get("ahb_div", 1) // clock.get("apb1_div", clock.get("apb_div", 1))
    assert board.console.clock_hz == bus


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.id)
def test_baud_rate_is_within_two_percent(board: Board) -> None:
    """A UART receiver tolerates about 2 % (RM0410, section 34.5.5)."""
    if "baud_register" in board.console.settings:  # nRF52840 PS, 6.33.8: baud = register * 16 MHz / 2^32
        actual = board.console.settings["baud_register"] * 16e6 / 2**32
    else:
        scale = board.console.settings.get("divider_scale", 1)
        actual = board.console.clock_hz * scale / round(board.console.clock_hz * scale / board.console.baud)
    assert actual == pytest.approx(board.console.baud, rel=0.02)


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
    with pytest.raises(UsageError, match=r"the boards are arduino-nano33-ble, nucleo-f411") as caught:
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
