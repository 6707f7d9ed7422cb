"""The host's C compiler: gcc or clang on PATH, else zig's clang from the PyPI package `ziglang`."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from quantmcu.errors import ToolError

LANGUAGE = ("-std=c11", "-Wall", "-Wextra")
DIAGNOSTICS_KEPT = 4000

SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g")

#: Writes behind a static array, through a pointer, since UndefinedBehaviorSanitizer sees an index
#: itself: a working AddressSanitizer stops it.
OVERRUN = """
static unsigned char arena[16];
int main(int count, char **values) { unsigned char *p = arena; (void)values; p[15 + count] = 1; return arena[0]; }
"""
#: Overflows an int: a working UndefinedBehaviorSanitizer stops it.
OVERFLOW = """
#include <limits.h>
int main(int count, char **values) { (void)values; return INT_MAX + count == 0; }
"""


@dataclass(frozen=True)
class HostCompiler:
    """A C compiler for this machine.

    Attributes:
        name: for conditions and messages.
        command: how it is called.
    """

    name: str
    command: tuple[str, ...]

    def compile(self, sources: Sequence[Path], include: Sequence[Path], output: Path, flags: Sequence[str]) -> None:
        """Compiles and links `sources` into `output`, as C11.

        Raises:
            ToolError: the compiler cannot be run or refuses the code; with its words.
        """
        if not sources:
            raise ToolError("there is no C file to compile", str(output.name))
        folders = [f"-I{folder}" for folder in include]
        command = [*self.command, *LANGUAGE, *flags, *folders, *map(str, sources), "-o", str(output), "-lm"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        except OSError as error:
            raise ToolError("the host's C compiler cannot be run", self.name, str(error)) from error
        if done.returncode != 0:
            words = (done.stderr or done.stdout).strip()[:DIAGNOSTICS_KEPT]
            raise ToolError("the host's C compiler refuses the generated code", self.name, words)


def host_compilers() -> list[HostCompiler]:
    """All C compilers found, in order of preference: $CC, cc, gcc, clang, zig."""
    found = []
    if os.environ.get("CC"):
        words = os.environ["CC"].split()
        if shutil.which(words[0]):
            found.append(HostCompiler(os.environ["CC"], tuple(words)))
    found += [HostCompiler(name, (name,)) for name in ("cc", "gcc", "clang") if shutil.which(name)]
    if importlib.util.find_spec("ziglang") is not None:
        found.append(HostCompiler("zig cc", (sys.executable, "-m", "ziglang", "cc")))
    return found


def find_host_compiler() -> HostCompiler:
    """The first C compiler.

    Raises:
        ToolError: there is none.
    """
    for compiler in host_compilers():
        return compiler
    raise ToolError(
        "there is no C compiler for this machine",
        why="looked for $CC, cc, gcc, clang on PATH and for the Python package ziglang",
        hint="pip install ziglang",
    )


def sanitizer_environment() -> dict[str, str]:
    """Environment for a sanitized program. Nothing here uses the heap, so leaks are not looked for."""
    return {**os.environ, "ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}


def find_sanitizing_compiler() -> HostCompiler:
    """The first compiler whose sanitizers (SANITIZE) catch a planted overrun and a planted overflow.

    Raises:
        ToolError: there is none.
    """
    tried = []
    for compiler in host_compilers():
        problem = _sanitizer_problem(compiler)
        if not problem:
            return compiler
        tried.append(f"{compiler.name}: {problem}")
    raise ToolError(
        "no C compiler here has working sanitizers",
        why="; ".join(tried) or "there is no C compiler at all",
        hint="install gcc or clang with their sanitizer libraries (Debian: apt-get install gcc libc6-dev)",
    )


@cache
def _sanitizer_problem(compiler: HostCompiler) -> str:
    """Why this compiler's sanitizers don't do their work; empty when they do."""
    with tempfile.TemporaryDirectory(prefix="quantmcu-sanitizer-") as folder:
        for planted, report in ((OVERRUN, "AddressSanitizer"), (OVERFLOW, "runtime error")):
            source = Path(folder) / "planted.c"
            program = Path(folder) / "planted"
            source.write_text(planted)
            try:
                compiler.compile([source], [], program, SANITIZE)
            except ToolError as error:
                return error.why.splitlines()[0] if error.why else error.what
            done = subprocess.run(
                [program], capture_output=True, text=True, errors="replace", check=False, env=sanitizer_environment()
            )
            if done.returncode == 0 or report not in done.stderr:
                return f"{report} did not notice a planted error"
    return ""
