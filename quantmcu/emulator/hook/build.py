"""Builds the shipped machine code of `hook.c`: `python -m quantmcu.emulator.hook.build` (needs the package `ziglang`).

The objects hold no relocations, so their text section runs wherever it is copied to.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import subprocess
import sys
import tempfile
from pathlib import Path

from elftools.elf.elffile import ELFFile

from quantmcu.emulator.hook import FOLDER, MACHINES

SOURCE = FOLDER / "hook.c"
STAMP = FOLDER / "built_with.txt"
FLAGS = [
    *("-std=c11", "-O2", "-g0", "-Wall", "-Wextra", "-Werror"),
    *("-fPIC", "-ffreestanding", "-fno-stack-protector", "-fno-sanitize=all", "-fno-jump-tables"),
    *("-fno-vectorize", "-fno-slp-vectorize"),  # vector constants would need relocations
    *("-fno-unwind-tables", "-fno-asynchronous-unwind-tables", "-fno-ident"),
]


def stamp() -> str:
    """What the shipped objects were made from: the compiler and the source."""
    version = importlib.metadata.version("ziglang")
    return f"ziglang {version}\nhook.c sha256 {hashlib.sha256(SOURCE.read_bytes()).hexdigest()}\n"


def build(folder: Path) -> None:
    """Writes one object for each of `MACHINES` into `folder`."""
    for machine in MACHINES:
        target = f"{machine}-linux-none"
        command = [sys.executable, "-m", "ziglang", "cc", "-target", target, *FLAGS, "-c", SOURCE.name, "-o"]
        with tempfile.TemporaryDirectory() as scratch:
            built = Path(scratch) / "hook.o"
            subprocess.run([*command, str(built)], check=True, cwd=FOLDER)
            code = built.read_bytes()
        if ELFFile(io.BytesIO(code)).get_section_by_name(".rela.text"):
            raise SystemExit(f"hook.c needs relocations on {machine}: its code cannot be copied as it is")
        (folder / f"hook_{machine}.o").write_bytes(code)


if __name__ == "__main__":
    build(FOLDER)
    STAMP.write_text(stamp())
