"""Writes the PlatformIO project of a compiled network."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from quantmcu.atomic import write_error
from quantmcu.build.harness import harness_files
from quantmcu.codegen.templates import environment
from quantmcu.resources import data_folder
from quantmcu.targets import Board

_COMMON_PORT_FILES = ("startup.c", "port.c", "core.c", "fault.c", "libc/string.c", "libc/abi.c")
_LOCAL_INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)

# Visible in platformio.ini, to be changed there; what the target dictates is in platform/builder/flags.py.
_BUILD_FLAGS = (
    "-std=c11",
    "-O2",
    "-Wall -Wextra -Werror",
    "-DQUANTMCU_USE_SECTIONS",
    "-Isrc/model",
    "-Isrc/harness",
    "-Isrc/port",
    "-Isrc/port/libc",
)


def write_project(
    out: Path,
    board: Board,
    model_files: Mapping[str, str | bytes],
    *,
    name: str,
    harness: Mapping[str, bytes] | None = None,
) -> None:
    """Writes the whole project, ready for `pio run`, into the folder `out`.

    Args:
        out: made if missing; files of an earlier project there are replaced.
        board: decides ports, linker script and PlatformIO settings.
        model_files: the generated network, by path below `src/model/`.
        name: of the network, for comments.
        harness: sources of the main program (`harness_files`); None: of QuantMCU's own.

    Raises:
        ToolError: a file can't be written, e.g. because the disk is full.
    """
    for part in ("platform", "src"):
        shutil.rmtree(out / part, ignore_errors=True)
    firmware = data_folder("firmware")
    for source in _platform_files(firmware / "platform"):
        _write(out / "platform" / source, (firmware / "platform" / source).read_bytes())
    manifest = json.dumps(board.manifest, indent=2, ensure_ascii=False) + "\n"
    _write(out / "platform" / "boards" / f"{board.id}.json", manifest)
    for path in _port_files(firmware / "ports", board):
        _write(out / "src" / "port" / path, (firmware / "ports" / path).read_bytes())
    for file, content in (harness or harness_files("quantmcu", name, 0)).items():
        _write(out / "src" / "harness" / file, content)
    for path, text in model_files.items():
        _write(out / "src" / "model" / path, text)
    _write(out / "src" / "port" / "board_config.h", board_config(board))
    _write(out / "src" / "port" / "linker.ld", linker_script(board))
    _write(out / "platformio.ini", platformio_ini(board, name))


def board_config(board: Board) -> str:
    """The header `board_config.h`: the manifest's facts as `BOARD_*` macros for src/port/."""
    return environment().get_template("board_config.h.j2").render(board=board, defines=list(_defines(board)))


def place_hot_code(out: Path, board: Board, hot: Sequence[str]) -> None:
    """Rewrites the linker script of the project `out` so that the functions `hot` run from the code memory."""
    _write(out / "src" / "port" / "linker.ld", linker_script(board, hot))


def linker_script(board: Board, hot: Sequence[str] = ()) -> str:
    """The linker script, for GNU ld and lld; `hot` names the functions that run from the code memory."""
    code, stack, data = (next(iter(board.regions_for(role)), None) for role in ("code", "stack", "data"))
    assert stack is not None
    assert data is not None
    return (
        environment()
        .get_template("linker.ld.j2")
        .render(
            board=board,
            flash=board.flash.name,
            code=code,
            hot=hot,
            stack=stack.name,
            data=data.name,
            arenas=board.regions_for("arena"),
        )
    )


def platformio_ini(board: Board, name: str) -> str:
    """The project file, with one environment for our platform and one for the official one where the board has it."""
    return environment().get_template("platformio.ini.j2").render(board=board, name=name, build_flags=_BUILD_FLAGS)


def _defines(board: Board) -> Iterator[tuple[str, str]]:
    """Name (without `BOARD_`) and value of each macro."""
    yield "HAS_FPU", str(int(board.fpu is not None))
    yield "IRQ_COUNT", f"{board.irq_count}u"
    for key, value in board.clock.items():
        if key.endswith("_pin"):
            yield from _pin(f"CLOCK_{key.removesuffix('_pin').upper()}", str(value))
        elif isinstance(value, int):
            yield f"CLOCK_{key.upper()}", f"{value}u"
    yield "CACHES_ICACHE_BYTES", f"{board.caches.icache_bytes}u"
    yield "CACHES_DCACHE_BYTES", f"{board.caches.dcache_bytes}u"
    yield "CACHES_LINE_BYTES", f"{board.caches.line_bytes}u"
    console = board.console
    yield "CONSOLE_BASE", f"0x{console.base:08x}u"
    yield "CONSOLE_BAUD", f"{console.baud}u"
    yield "CONSOLE_CLOCK_HZ", f"{console.clock_hz}u"
    for direction, pin in (("TX", console.tx), ("RX", console.rx)):
        if pin is not None:
            yield from _pin(f"CONSOLE_{direction}", pin)
    for key, value in console.settings.items():
        yield f"CONSOLE_{key.upper()}", f"{value:#x}u" if key.endswith("register") else f"{value}u"


def _pin(name: str, pin: str) -> Iterator[tuple[str, str]]:
    port, number = pin_position(pin)
    yield f"{name}_PORT", f"{port}u"
    yield f"{name}_PIN", f"{number}u"


def pin_position(pin: str) -> tuple[int, int]:
    """Port index and pin number of `PD8` (3, 8), `P1.03` (1, 3) or `GPIO16` (0, 16)."""
    if pin.startswith("GPIO"):
        return 0, int(pin.removeprefix("GPIO"))
    if "." in pin:
        port, number = pin.removeprefix("P").split(".")
        return int(port), int(number)
    return ord(pin[1]) - ord("A"), int(pin[2:])


def _platform_files(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.suffix in (".py", ".json"))


def _port_files(folder: Path, board: Board) -> list[str]:
    """The sources that the board needs, and the headers that they include."""
    uart = f"uart_{board.console.kind.replace('-', '_')}.c"
    waiting = [*_COMMON_PORT_FILES, f"{board.port}.c", uart]
    needed: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in needed:
            continue
        needed.add(path)
        for header in _LOCAL_INCLUDE.findall((folder / path).read_text(encoding="utf-8")):
            beside = (Path(path).parent / header).as_posix()
            if (folder / beside).is_file():
                waiting.append(beside)
    return sorted(needed | {"libc/string.h"})


def _write(path: Path, content: str | bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    except OSError as error:
        raise write_error("can't write the project", path, error) from error
