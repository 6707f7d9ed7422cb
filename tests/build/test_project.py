"""The written project: complete, deterministic, free of paths."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from quantmcu.build.project import board_config, linker_script, pin_position, platformio_ini
from quantmcu.errors import ToolError
from quantmcu.targets import Board, list_boards, load_board
from tests.build.tiny_network import write_tiny

BOARDS = list_boards()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.id)
def test_same_input_same_bytes_without_paths(board: Board, tmp_path: Path) -> None:
    first = contents(write_tiny(tmp_path / "a", board))
    assert first == contents(write_tiny(tmp_path / "somewhere" / "else", board))
    for name, text in first.items():
        assert str(tmp_path).encode() not in text, name
        assert str(Path.home()).encode() not in text, name


def test_files_of_a_project(tmp_path: Path) -> None:
    files = set(contents(write_tiny(tmp_path, load_board("nucleo-f767"))))
    assert {
        "platformio.ini",
        "platform/platform.json",
        "platform/platform.py",
        "platform/builder/main.py",
        "platform/boards/nucleo-f767.json",
        "src/model/model.c",
        "src/model/quantmcu.h",
        "src/harness/main.c",
        "src/port/startup.c",
        "src/port/stm32f7.c",
        "src/port/stm32f4_f7_clock.h",
        "src/port/uart_stm32_v2.c",
        "src/port/linker.ld",
        "src/port/board_config.h",
        "src/port/libc/string.h",
    } <= files
    assert not any(
        name in file for file in files for name in ("stm32h7", "nrf52", "posix", "uart_cmsdk", "__pycache__")
    )


def test_a_second_project_replaces_the_first(tmp_path: Path) -> None:
    write_tiny(tmp_path, load_board("nucleo-h743"))
    write_tiny(tmp_path, load_board("nucleo-f767"))
    assert not (tmp_path / "src" / "port" / "stm32h7.c").exists()
    assert [path.name for path in (tmp_path / "platform" / "boards").iterdir()] == ["nucleo-f767.json"]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.id)
def test_platformio_ini_has_both_environments(board: Board) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(platformio_ini(board, "tiny"))
    own = parser[f"env:{board.id}"]
    assert (own["platform"], own["board"]) == ("symlink://platform", board.id)
    official = f"env:{board.id}-official"
    assert parser.has_section(official) == (board.platformio_board is not None)
    if board.platformio_board:
        assert parser[official]["platform"] == board.platformio_platform
        assert parser[official]["board_build.ldscript"] == "src/port/linker.ld"


def test_board_config_holds_the_manifest(tmp_path: Path) -> None:
    text = board_config(load_board("nucleo-f767"))
    for line in (
        '#define BOARD_ID "nucleo-f767"',
        "#define BOARD_HAS_FPU 1",
        "#define BOARD_CLOCK_CORE_HZ 216000000u",
        "#define BOARD_CLOCK_PLL_N 216u",
        "#define BOARD_CONSOLE_BASE 0x40004800u",
        "#define BOARD_CONSOLE_TX_PORT 3u",
        "#define BOARD_CONSOLE_TX_PIN 8u",
    ):
        assert line in text.splitlines()


@pytest.mark.parametrize(("pin", "position"), [("PA0", (0, 0)), ("PD8", (3, 8)), ("PG15", (6, 15)), ("P1.03", (1, 3))])
def test_pin_position(pin: str, position: tuple[int, int]) -> None:
    assert pin_position(pin) == position


def test_full_disk_is_an_error_of_ours(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    (tmp_path / "platformio.ini").symlink_to("/dev/full")
    with pytest.raises(ToolError, match="can't write the project") as caught:
        write_tiny(tmp_path, load_board("nucleo-f767"))
    assert caught.value.where == str(tmp_path / "platformio.ini")
    assert caught.value.why == "No space left on device"


def test_linker_script_places_hot_code_in_itcm_behind_the_null_address() -> None:
    script = linker_script(load_board("nucleo-f767"))
    assert ".hot_text 0x00000020 :" in script
    assert "} > itcm AT> flash" in script
    without = linker_script(load_board("nucleo-f411"))
    assert "*(.hot_text .hot_text.*)" in without, "without RAM for code it is ordinary code"
    assert "itcm" not in without
