"""Builds and flashes a written project with PlatformIO."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from quantmcu.atomic import write_error
from quantmcu.build.failures import FlashOverflowError, build_failure, upload_failure
from quantmcu.build.pio import platformio_environment, run_platformio
from quantmcu.build.placement import hot_functions
from quantmcu.build.project import place_hot_code
from quantmcu.build.size import firmware_size
from quantmcu.build.toolchain import Toolchain, require_compiler
from quantmcu.build.uploader import require_uploader
from quantmcu.errors import UsageError
from quantmcu.progress import Progress, SilentProgress
from quantmcu.targets import Board

_VARIABLE = "QUANTMCU_TOOLCHAIN"
_FIRMWARE = ("firmware.elf", "firmware.bin")


@dataclass(frozen=True)
class BuildResult:
    """A built firmware.

    Attributes:
        elf, bin: in the project's folder.
        compiler: name and version, e.g. `zig 0.17.1`.
        flags: of the compiler, without those that hold paths.
        seconds: of `pio run`, of both where kernels were moved.
    """

    elf: Path
    bin: Path
    compiler: str
    flags: tuple[str, ...]
    seconds: float


def require_folder(out: Path) -> None:
    """Returns where PlatformIO can build in the folder `out`.

    Raises:
        UsageError: it can't.
    """
    if "$" in str(out.absolute()):
        raise UsageError(
            "PlatformIO can't build in a folder with $ in its path",
            str(out),
            "it takes what follows for the name of a variable",
            "give --out another folder",
        )


def build_project(
    out: Path,
    board: Board,
    *,
    toolchain: str = "auto",
    progress: Progress | None = None,
    heat: Mapping[str, float] | None = None,
    flash_bytes: int | None = None,
) -> BuildResult:
    """Runs `pio run` in the project `out` and copies firmware.elf and firmware.bin beside platformio.ini.

    Args:
        out: a folder written by `write_project`.
        board: the board it was written for.
        toolchain: `auto`, `gcc`, `zig`, `registry` (PlatformIO's GCC), or the path of a compiler or its folder.
        progress: told of each compiled file.
        heat: predicted cycles by kernel source file: the hottest kernels are moved to the board's code memory, and the
            firmware is linked a second time.
        flash_bytes: that the firmware may take; None: all of the board's.

    Raises:
        UsageError: the toolchain that was asked for is not there, or PlatformIO can't build in this folder.
        ToolError: no compiler, a compile error, a full disk.
        FlashOverflowError: flash does not suffice.
        QuantMCUError: another memory region overflows; says which, by how many bytes.
    """
    out = out.absolute()
    require_folder(out)
    progress = progress or SilentProgress()
    compiler = require_compiler(toolchain)
    if compiler is None:
        progress.note("no compiler installed: PlatformIO downloads its own (about 100 MB, once)")
    sources = sum(path.suffix in (".c", ".S", ".s") for path in (out / "src").rglob("*"))
    compiled = 0

    def count(line: str) -> None:
        nonlocal compiled
        if line.startswith("Compiling "):
            compiled += 1
            progress.advance(compiled, sources)

    def build() -> Path:
        run = run_platformio(
            out,
            ["-e", board.id],
            environment=platformio_environment({_VARIABLE: compiler.path if compiler else "registry"}),
            log_name=out.name.strip("."),
            on_line=count,
        )
        if run.status != 0:
            raise build_failure(run, board)
        return out / ".pio" / "build" / board.id

    _remove_work(out)
    start = time.perf_counter()
    built = build()
    hot = hot_functions(built / _FIRMWARE[0], board, heat) if heat else ()
    if hot:
        place_hot_code(out, board, hot)
        built = build()
    seconds = time.perf_counter() - start
    elf, binary = (_copy(built / name, out / name) for name in _FIRMWARE)
    facts = json.loads((built / "compiler.json").read_text(encoding="utf-8"))
    _remove_work(out)
    taken = firmware_size(elf, board).flash
    if flash_bytes is not None and taken > flash_bytes:
        raise FlashOverflowError(
            taken - flash_bytes,
            f"the firmware takes {taken:,} bytes of flash, {taken - flash_bytes:,} more than allowed",
            "--flash-size",
            f"{flash_bytes:,} bytes were asked for",
            f"a larger --flash-size ({board.id} has {board.flash_bytes:,} bytes), or fewer weight bits",
        )
    return BuildResult(elf, binary, Toolchain(facts["kind"], "", facts["version"]).name, tuple(facts["flags"]), seconds)


def flash_project(
    out: Path,
    board: Board,
    *,
    protocol: str | None = None,
    port: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Flashes the firmware.elf or .bin of the project `out`, these very files, by `pio run -t nobuild -t upload`.

    Args:
        out: a folder that `build_project` has built.
        board: the board it was built for.
        protocol: one of the manifest's `upload.protocols`; None: its default.
        port: serial port or disk, for the protocols that use one; None: looked for.
        progress: told what happens.

    Raises:
        UsageError: nothing is built there, or the board has no such protocol.
        ToolError: no board or probe found, no upload tool, verification failed.
    """
    out = out.absolute()
    protocols = board.manifest["upload"]["protocols"]
    protocol = protocol or board.manifest["upload"]["protocol"]
    if board.qemu_machine is not None:
        raise UsageError("this board exists only in emulators", board.id, hint="quantmcu measure --on emulator runs it")
    if protocol not in protocols:
        raise UsageError(f"unknown upload protocol {protocol!r}", board.id, f"the board has {', '.join(protocols)}")
    missing = [name for name in _FIRMWARE if not (out / name).is_file()]
    if missing:
        raise UsageError(f"no {missing[0]} here", str(out), hint="compile without --no-build first")
    require_uploader(protocol)
    _remove_work(out)
    (progress or SilentProgress()).stage("flash")
    try:
        run = run_platformio(
            out,
            ["-e", board.id, "-t", "nobuild", "-t", "upload", *(["--upload-port", port] if port else [])],
            environment=platformio_environment({"QUANTMCU_UPLOAD_PROTOCOL": protocol}),
            log_name=f"{out.name.strip('.')}-upload",
        )
    finally:
        _remove_work(out)
    if run.status != 0:
        raise upload_failure(run, board)


def _remove_work(out: Path) -> None:
    """PlatformIO's working folder holds absolute paths: the project must build wherever it is moved or copied."""
    shutil.rmtree(out / ".pio", ignore_errors=True)


def _copy(source: Path, target: Path) -> Path:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise write_error("can't write the firmware", target, error) from error
    return target
