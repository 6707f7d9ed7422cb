"""Finds Arm compilers outside PlatformIO's packages. Standalone: this file travels with each generated project.

`QUANTMCU_TOOLCHAIN` chooses: `auto` (the default), `gcc`, `zig`, `registry` (PlatformIO's GCC), the path of a
compiler (`.../arm-none-eabi-gcc`, `.../zig`), or the folder that holds one (itself or its `bin/`).
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "QUANTMCU_TOOLCHAIN"
GCC = "arm-none-eabi-gcc"
ZIG = "zig"


@dataclass(frozen=True)
class Toolchain:
    """A compiler driver. `kind` is `gcc` or `zig`; `path` is the executable."""

    kind: str
    path: str

    @property
    def folder(self) -> str:
        """Folder of the executable, for PATH."""
        return os.path.dirname(self.path)

    def version(self) -> str:
        """E.g. `12.2.1` (GCC), `0.17.1` (zig); raises OSError or CalledProcessError where it does not run."""
        command = [self.path, "-dumpfullversion"] if self.kind == "gcc" else [self.path, "version"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


class ToolchainNotFoundError(Exception):
    """The compiler that was asked for is not there."""


def find_toolchain(choice: str | None = None) -> Toolchain | None:
    """The compiler to use; None when PlatformIO shall provide its own.

    `choice` overrides the environment variable.
    Raises ToolchainNotFoundError when the compiler that was asked for is not there.
    """
    choice = choice or os.environ.get(VARIABLE) or "auto"
    if choice == "registry":
        return None
    if choice == "auto":
        return find_gcc() or find_zig()
    finders: dict[str, Callable[[], Toolchain | None]] = {"gcc": find_gcc, "zig": find_zig}
    found = finders[choice]() if choice in finders else _at(Path(choice))
    if found is None:
        looked = {"gcc": f"{GCC} on PATH", "zig": "the Python package ziglang, and zig on PATH"}
        where = looked.get(choice, f"{GCC} or {ZIG} at {choice}, in it and in its bin folder")
        raise ToolchainNotFoundError(f"the compiler {choice!r} is not there (looked for {where})")
    return found


def find_gcc() -> Toolchain | None:
    """GCC for Arm on PATH."""
    path = shutil.which(GCC)
    return Toolchain("gcc", path) if path else None


def find_zig() -> Toolchain | None:
    """Zig (clang and lld) from the Python package `ziglang`, else on PATH."""
    package = importlib.util.find_spec("ziglang")
    if package is not None and package.origin:
        path = Path(package.origin).parent / _executable(ZIG)
        if path.is_file():
            return Toolchain("zig", str(path))
    found = shutil.which(ZIG)
    return Toolchain("zig", found) if found else None


def _executable(name: str) -> str:
    return f"{name}.exe" if sys.platform == "win32" else name


def _at(place: Path) -> Toolchain | None:
    """A compiler at `place`, which is an executable or a folder."""
    for name, kind in ((GCC, "gcc"), (ZIG, "zig")):
        executable = _executable(name)
        if place.name == executable and place.is_file():
            return Toolchain(kind, str(place))
        for folder in (place, place / "bin"):
            if (folder / executable).is_file():
                return Toolchain(kind, str(folder / executable))
    return None
