"""Runs PlatformIO in a process of its own, with its own folder for packages."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from quantmcu.build.cache import cache_folder
from quantmcu.errors import ToolError


@dataclass(frozen=True)
class PlatformIORun:
    """A finished run: exit status, everything it printed, and the file that holds the same."""

    status: int
    output: str
    log: Path


def platformio_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The user's environment, with a private core folder for PlatformIO, no telemetry and no look for upgrades.

    The user's own PLATFORMIO_* variables are left out: they would move folders or change flags.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PLATFORMIO_")}
    environment |= {
        "PLATFORMIO_CORE_DIR": str(cache_folder() / "platformio"),
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        "PLATFORMIO_SETTING_CHECK_PLATFORMIO_INTERVAL": "36500",
        "PLATFORMIO_SETTING_CHECK_PRUNE_SYSTEM_THRESHOLD": "0",
        "PLATFORMIO_DISABLE_UPGRADE_CHECK": "true",
        "PLATFORMIO_DISABLE_PROGRESSBAR": "true",
        "PLATFORMIO_NO_ANSI": "true",
        "PYTHONIOENCODING": "utf-8",
    }
    return environment | dict(extra or {})


def run_platformio(
    folder: Path,
    arguments: list[str],
    *,
    environment: Mapping[str, str],
    log_name: str,
    on_line: Callable[[str], None] | None = None,
) -> PlatformIORun:
    """`pio run -d folder ARGUMENTS`; the output goes to a log in the cache folder, which outlives the project.

    Raises:
        ToolError: the log can't be written.
    """
    command = [sys.executable, "-m", "platformio", "run", "-d", str(folder), *arguments]
    log = cache_folder() / "logs" / f"{log_name}.log"
    lines: list[str] = []
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with (
            log.open("w", encoding="utf-8") as file,
            subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            ) as process,
        ):
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    file.write(line)
                    lines.append(line)
                    if on_line is not None:
                        on_line(line.rstrip())
            except BaseException:
                _end(process)
                raise
    except OSError as error:
        why = error.strerror or str(error)
        hint = "QUANTMCU_CACHE names another folder for logs and PlatformIO's packages"
        raise ToolError("can't write the build log", where=str(log), why=why, hint=hint) from error
    return PlatformIORun(process.returncode, "".join(lines), log)


def _end(process: subprocess.Popen[str]) -> None:
    """Ends PlatformIO with its compilers, so that an interrupted build writes nothing more."""
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.stdout is not None:
        process.stdout.read()  # ends when the last process that could write has died
    process.wait()
