"""Compilers for the firmware: the search of the PlatformIO platform, for Python."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass
from functools import cache
from types import ModuleType

from quantmcu.build.cache import cache_folder
from quantmcu.errors import ToolError, UsageError
from quantmcu.resources import platform_module

REGISTRY_HOST = "api.registry.platformio.org"
_REGISTRY_PACKAGE = "toolchain-gccarmnoneeabi"


@dataclass(frozen=True)
class Toolchain:
    """A compiler. `kind` is `gcc` or `zig`, `version` e.g. `12.2.1`."""

    kind: str
    path: str
    version: str

    @property
    def name(self) -> str:
        """For reports, e.g. `arm-none-eabi-gcc 12.2.1`."""
        return f"{'arm-none-eabi-gcc' if self.kind == 'gcc' else 'zig'} {self.version}"


@cache
def _search() -> ModuleType:
    """The platform's own search for compilers."""
    return platform_module("toolchains")


def find_toolchain(choice: str = "auto") -> Toolchain | None:
    """The compiler that a build with `choice` uses; None: PlatformIO's own package.

    Args:
        choice: `auto`, `gcc`, `zig`, `registry`, or the path of a compiler or its folder. `auto` obeys the environment
            variable QUANTMCU_TOOLCHAIN.

    Raises:
        UsageError: the compiler that was asked for is not there.
        ToolError: it does not run.
    """
    search = _search()
    try:
        found = search.find_toolchain(None if choice == "auto" else choice)
    except search.ToolchainNotFoundError as error:
        asked = search.VARIABLE if choice == "auto" else "--toolchain"
        raise UsageError(str(error), asked, hint=_install_hint()) from error
    return None if found is None else _with_version(found.kind, found.path, found.version)


def installed_toolchains() -> list[Toolchain]:
    """Every compiler found, in order of preference."""
    search = _search()
    return [_with_version(t.kind, t.path, t.version) for t in (search.find_gcc(), search.find_zig()) if t is not None]


def _with_version(kind: str, path: str, version: object) -> Toolchain:
    assert callable(version)
    try:
        return Toolchain(kind, path, version())
    except (OSError, subprocess.CalledProcessError) as error:
        raise ToolError("the compiler does not run", where=path, why=str(error), hint="install it again") from error


def require_compiler(choice: str = "auto") -> Toolchain | None:
    """Like `find_toolchain`, but None only where PlatformIO has its compiler or can download it.

    PlatformIO itself is silent for a minute before it gives up.

    Raises:
        ToolError: no compiler anywhere; says what was looked for and how to install one.
    """
    found = find_toolchain(choice)
    if found is None and not registry_toolchain_installed() and not registry_reachable():
        raise ToolError(
            "no C compiler for Arm found",
            why=(
                "looked for arm-none-eabi-gcc on PATH, the Python package ziglang, zig on PATH, and PlatformIO's "
                f"{_REGISTRY_PACKAGE} ({REGISTRY_HOST} does not answer, so it cannot be downloaded)"
            ),
            hint=_install_hint(),
        )
    return found


def registry_toolchain_installed() -> bool:
    """Whether PlatformIO's GCC lies in our PlatformIO folder."""
    return platformio_package_installed(_REGISTRY_PACKAGE)


def platformio_package_installed(name: str) -> bool:
    """Whether PlatformIO has put its package `name` into our PlatformIO folder."""
    return any((cache_folder() / "platformio" / "packages").glob(f"{name}*"))


def registry_reachable(seconds: float = 3.0) -> bool:
    """Whether PlatformIO's registry accepts connections."""
    try:
        with socket.create_connection((REGISTRY_HOST, 443), timeout=seconds):
            return True
    except OSError:
        return False


def _install_hint() -> str:
    return (
        "`pip install quantmcu[zig]` installs one without root rights; or install arm-none-eabi-gcc "
        "(Debian, Ubuntu: apt install gcc-arm-none-eabi); or set QUANTMCU_TOOLCHAIN to the folder of one"
    )
