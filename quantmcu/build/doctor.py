"""Looks at everything that QuantMCU uses on this machine: `quantmcu doctor`."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from serial.tools import list_ports

import quantmcu
from quantmcu.build.toolchain import (
    REGISTRY_HOST,
    installed_toolchains,
    registry_reachable,
    registry_toolchain_installed,
)
from quantmcu.build.uploader import BOARDS_OF_TOOL, installed_uploader, uploader_hint
from quantmcu.errors import ToolError


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Attributes:
        name: what.
        ok: whether it is there and usable.
        detail: version and place, or what is missing.
        hint: what to do where it is not ok.
        required: without it QuantMCU can't compile a model to firmware and run it in the emulator.
    """

    name: str
    ok: bool
    detail: str
    hint: str = ""
    required: bool = True


def diagnose() -> list[Check]:
    """All checks, the required ones first."""
    return [*_python(), _compiler(), *_optional()]


def _python() -> Iterator[Check]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield Check("Python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")
    for requirement in _requirements():
        yield _package(requirement)


def _requirements() -> list[str]:
    """What pyproject.toml asks for, from the installed package or the checkout."""
    try:
        requirements = importlib.metadata.requires("quantmcu") or []
    except importlib.metadata.PackageNotFoundError:
        project = Path(quantmcu.__file__).parents[1] / "pyproject.toml"
        requirements = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    return [requirement for requirement in requirements if "extra ==" not in requirement]


def _package(requirement: str) -> Check:
    parts = re.fullmatch(r"([\w.-]+)\s*(?:>=\s*([\w.]+))?.*", requirement)
    assert parts is not None
    name, minimum = parts.groups()
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Check(name, False, "not installed", f"pip install '{requirement}'")
    ok = minimum is None or _numbers(version) >= _numbers(minimum)
    return Check(name, ok, version if ok else f"{version} is too old", f"pip install '{requirement}'")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _compiler() -> Check:
    name = "Arm compiler"
    hint = "`pip install quantmcu[zig]`, without root rights; or install gcc-arm-none-eabi"
    try:
        found = installed_toolchains()
    except ToolError as error:
        return Check(name, False, f"{error.where}: {error.why}", error.hint)
    if found:
        return Check(name, True, ", ".join(f"{toolchain.name} ({toolchain.path})" for toolchain in found))
    if registry_toolchain_installed():
        return Check(name, True, "PlatformIO's toolchain-gccarmnoneeabi")
    if registry_reachable():
        return Check(name, True, "none installed; PlatformIO will download its own")
    return Check(name, False, f"none installed, and {REGISTRY_HOST} does not answer", hint)


def _optional() -> Iterator[Check]:
    yield _program(
        "host C compiler", ("cc", "gcc", "clang"), "for `validate --on host`; zig (quantmcu[zig]) serves too"
    )
    yield _program(
        "QEMU", ("qemu-system-arm",), "only for the project's own cross-checks; Debian: apt install qemu-system-arm"
    )
    for protocol, boards in BOARDS_OF_TOOL.items():
        yield _flashing(protocol, boards)
    yield _serial_ports()


def _flashing(protocol: str, boards: str) -> Check:
    tool = installed_uploader(protocol)
    detail = f"{tool}, for {boards}" if tool else f"none, for {boards}"
    return Check(f"flashing by {protocol}", tool is not None, detail, uploader_hint(protocol), required=False)


def _program(name: str, candidates: tuple[str, ...], hint: str) -> Check:
    for candidate in candidates:
        path = shutil.which(candidate)
        if path is not None:
            return Check(name, True, f"{_first_line(path)} ({path})", required=False)
    return Check(name, False, f"no {' or '.join(candidates)} on PATH", hint, required=False)


def _first_line(program: str) -> str:
    try:
        run = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run: {error}"
    return (run.stdout or run.stderr).splitlines()[0] if run.stdout or run.stderr else "no version"


def _serial_ports() -> Check:
    ports = [f"{port.device} ({port.description})" for port in list_ports.comports() if port.vid is not None]
    detail = ", ".join(ports) or "none with a USB identity"
    return Check("serial ports", bool(ports), detail, "connect a board by USB to measure on it", required=False)
