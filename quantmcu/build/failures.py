"""Turns the output of a failed build or upload into an error that says what to do."""

from __future__ import annotations

import re

from quantmcu.build.pio import PlatformIORun
from quantmcu.errors import QuantMCUError, ToolError
from quantmcu.targets import Board

_SHOWN_ERRORS = 3
_COMPILE_ERROR = re.compile(r"^(\S[^:\n]*:\d+(?::\d+)?): (?:fatal )?error: (.*)$", re.MULTILINE)
_UNDEFINED = re.compile(r"undefined (?:reference to|symbol:) [`']?([\w.]+)")
_DISK_FULL = (
    "No space left on device",
    "Disk quota exceeded",
    "ENOSPC",
    "NoSpaceLeft",
    "There is not enough space on the disk",
)
# GNU ld names the region once for all its sections; lld names each section that does not fit any more
_OVERFLOW = (
    re.compile(r"region [`']?(\w+)' overflowed by (\d+) bytes"),
    re.compile(r"will not fit in region '(\w+)': overflowed by (\d+) bytes"),
)


class FlashOverflowError(QuantMCUError):
    """The firmware is too large by `missing` bytes of flash."""

    def __init__(self, missing: int, what: str, where: str, why: str, hint: str) -> None:
        super().__init__(what, where, why, hint)
        self.missing = missing


def build_failure(run: PlatformIORun, board: Board) -> QuantMCUError:
    """The error for a failed `pio run`."""
    output = run.output
    if any(text in output for text in _DISK_FULL):
        return ToolError(
            "the disk is full",
            where=str(run.log),
            why="the compiler could not write its output",
            hint="free some space",
        )
    overflows = overflowed_regions(output)
    if overflows:
        return _overflow_error(overflows, board, run)
    errors = _COMPILE_ERROR.findall(output)
    if errors:
        first = "\n        ".join(f"{place}: {text}" for place, text in errors[:_SHOWN_ERRORS])
        return ToolError(
            "the firmware does not compile", where=board.id, why=first, hint=f"the whole output: {run.log}"
        )
    undefined = sorted(set(_UNDEFINED.findall(output)))
    if undefined:
        return ToolError(
            "the firmware does not link",
            where=board.id,
            why=f"not defined anywhere: {', '.join(undefined)}",
            hint=f"the whole output: {run.log}",
        )
    if "HTTPClientError" in output or "PackageException" in output or "UnknownPackageError" in output:
        return ToolError(
            "PlatformIO could not get a package from its registry",
            where=board.id,
            why=_last_lines(output),
            hint="`quantmcu doctor` shows what is missing; with `pip install quantmcu[zig]` no registry is needed",
        )
    return ToolError("PlatformIO failed", where=board.id, why=_last_lines(output), hint=f"the whole output: {run.log}")


def overflowed_regions(output: str) -> dict[str, int]:
    """Bytes over, by memory region, as the linker reports them."""
    overflows: dict[str, int] = {}
    for pattern in _OVERFLOW:
        for region, count in pattern.findall(output):
            overflows[region] = max(int(count), overflows.get(region, 0))
    return overflows


def _overflow_error(overflows: dict[str, int], board: Board, run: PlatformIORun) -> QuantMCUError:
    parts = [
        f"{name} has {board.region(name).size:,} bytes and {over:,} more are needed" for name, over in overflows.items()
    ]
    kinds = {board.region(name).kind for name in overflows}
    remedy = {
        "flash": "a smaller network or fewer weight bits save flash",
        "ram": "a smaller input, patches or fewer activation bits save RAM",
    }
    what = f"the firmware does not fit into {' and '.join(overflows)} of {board.id}"
    hint = f"{'; '.join(remedy[kind] for kind in sorted(kinds))}; the linker's output: {run.log}"
    if kinds == {"flash"}:
        return FlashOverflowError(sum(overflows.values()), what, board.id, "; ".join(parts), hint)
    return QuantMCUError(what, board.id, "; ".join(parts), hint)


_UPLOAD_CAUSES = (
    # (text in the output, what, hint)
    (
        r"open failed|No ST-?LINK|unable to find a matching|No (connected|available) debug probes|ERROR_NO_DEVICE",
        "no board found",
        "connect the board's ST-LINK or probe port by USB; on Linux, PlatformIO's udev rules give access to it",
    ),
    (
        r"LIBUSB_ERROR_ACCESS|Permission denied|insufficient permissions",
        "no permission to use the probe",
        "on Linux install PlatformIO's udev rules (99-platformio-udev.rules) and plug the board in again",
    ),
    (
        r"Target type \S+ not recognized|target type \S+ not recognized",
        "pyOCD does not know this chip yet",
        "`python -m pyocd pack install` with the name of the chip fetches its description; or install OpenOCD",
    ),
    (
        r"no board's disk found|specify `upload_port`|Couldn't find a board on the selected port|No device found on"
        r"|No DFU capable USB device",
        "no board found",
        "connect the board by USB; enter its boot loader (Arduino: press reset twice; Pico: plug in while holding "
        "BOOTSEL); or name the port or disk with --port",
    ),
    (
        r"(openocd|bossac|dfu-util): (command )?not found|No module named pyocd|HTTPClientError|UnknownPackageError",
        "no upload tool",
        "`pip install openocd-esp32` (an OpenOCD with ST-LINK) or `pip install pyocd`: neither needs root rights",
    ),
    (r"(?i)verify failed|verification failed|contents differ", "the flash does not hold what was written", "try again"),
    (r"upload_command|Unknown upload protocol", "this board has no upload", "run it in the emulator: quantmcu measure"),
)


def upload_failure(run: PlatformIORun, board: Board) -> ToolError:
    """The error for a failed `pio run -t upload`; one of the build if that was the part that failed."""
    failed_build = _COMPILE_ERROR.search(run.output) or overflowed_regions(run.output)
    if failed_build:
        error = build_failure(run, board)
        return ToolError(error.what, error.where, error.why, error.hint)
    for pattern, what, hint in _UPLOAD_CAUSES:
        match = re.search(pattern, run.output)
        if match:
            return ToolError(
                what, where=board.id, why=_line_with(run.output, match.start()), hint=f"{hint} (log: {run.log})"
            )
    return ToolError(
        "flashing failed", where=board.id, why=_last_lines(run.output), hint=f"the whole output: {run.log}"
    )


def _line_with(output: str, position: int) -> str:
    start = output.rfind("\n", 0, position) + 1
    end = output.find("\n", position)
    return output[start : end if end >= 0 else None].strip()


def _last_lines(output: str, count: int = 4) -> str:
    """The last lines that say something: no rulers, no PlatformIO summary table."""
    lines = [line.strip() for line in output.splitlines()]
    telling = [line for line in lines if line and not re.match(r"^[-= ]*$|^=+|^Environment |.*FAILED +\d", line)]
    return " | ".join(telling[-count:])
