"""Compiles a few sources for a core into an ELF file for `FunctionMachine`: no start-up code, no board."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from quantmcu.errors import ToolError, UsageError
from quantmcu.resources import platform_module

_FPU_OF_CORE = {
    "cortex-m0plus": None,
    "cortex-m3": None,
    "cortex-m4": "fpv4-sp-d16",
    "cortex-m7": "fpv5-d16",
    "cortex-m33": "fpv5-sp-d16",
}
COMPILERS = ("gcc", "zig")

# Everything is placed where it is used: there is no start-up code to copy data from flash.
FUNCTION_LINKER_SCRIPT = """
SECTIONS {
  .text 0x08000000 : { KEEP(*(.text .text.* .hot_text .hot_text.*)) KEEP(*(.rodata .rodata.*)) }
  .ARM.extab : { *(.ARM.extab*) }
  .ARM.exidx : { *(.ARM.exidx*) }
  .data 0x20000000 : { KEEP(*(.data .data.*)) }
  .bss (NOLOAD) : { KEEP(*(.bss .bss.* COMMON .noinit .noinit.* .arena.*)) }
  /DISCARD/ : { *(.comment) *(.ARM.attributes) }
}
"""


def compilers() -> tuple[str, ...]:
    """The compilers for Arm on this computer, preferred first."""
    found = {
        "gcc": shutil.which("arm-none-eabi-gcc") is not None,
        "zig": importlib.util.find_spec("ziglang") is not None,
    }
    return tuple(name for name in COMPILERS if found[name])


def compile_for_core(
    sources: Sequence[Path | str],
    core: str,
    flags: Sequence[str] = ("-O2",),
    compiler: str = "auto",
    linker_script: str = FUNCTION_LINKER_SCRIPT,
) -> bytes:
    """Compiles and links sources into an ELF file.

    Args:
        sources: paths of C (`.c`) or assembler (`.s`, `.S`) files; a string is C text, or assembler text where it
            starts with a line `.syntax`.
        core: `cortex-m4`, `cortex-m7`, ...
        flags: compiler flags besides those that select the core.
        linker_script: text of another script, e.g. for a small firmware of a board.
        compiler: `gcc`, `zig` or `auto` (the first of them that is installed).

    Raises:
        ToolError: there is no compiler, or it rejects the sources; its messages are the `why`.
        UsageError: unknown core or compiler.
    """
    command = [*_driver(compiler, core), "-ffreestanding", "-ffunction-sections", *flags]
    with tempfile.TemporaryDirectory(prefix="quantmcu-") as name:
        folder = Path(name)
        script = folder / "function.ld"
        script.write_text(linker_script)
        files = [str(_source_file(source, folder, index)) for index, source in enumerate(sources)]
        output = folder / "function.elf"
        link = [f"-Wl,-T,{script}", "-Wl,--entry=0x08000000", "-o", str(output)]
        # zig adds its compiler runtime by itself, but not under -nostdlib
        libraries = [] if "ziglang" in command else ["-nostdlib", "-lgcc"]
        done = subprocess.run([*command, *files, *link, *libraries], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ToolError(f"the {core} compiler rejects the sources", why=done.stderr.strip())
        return output.read_bytes()


def _driver(compiler: str, core: str) -> list[str]:
    if core not in _FPU_OF_CORE:
        raise UsageError(f"no compiler flags are known for the core {core}", why=f"cores: {', '.join(_FPU_OF_CORE)}")
    if compiler not in ("auto", *COMPILERS):
        raise UsageError(f"unknown compiler {compiler}", why=f"compilers: auto, {', '.join(COMPILERS)}")
    installed = compilers()
    chosen = installed[:1] if compiler == "auto" else tuple(c for c in installed if c == compiler)
    if not chosen:
        raise ToolError(
            f"no compiler for Arm is installed (asked for: {compiler})",
            hint="pip install 'quantmcu[zig]', or install arm-none-eabi-gcc",
        )
    machine: list[str] = platform_module("builder/flags").machine_flags(chosen[0], core, _FPU_OF_CORE[core])
    if chosen[0] == "zig":
        # without -g, -Os strips symbols
        return [sys.executable, "-m", "ziglang", "cc", *machine, "-fno-sanitize=all", "-g"]
    return ["arm-none-eabi-gcc", *machine]


def _source_file(source: Path | str, folder: Path, index: int) -> Path:
    if isinstance(source, Path):
        return source
    path = folder / f"source{index}.{'S' if source.lstrip().startswith('.syntax') else 'c'}"
    path.write_text(source)
    return path
