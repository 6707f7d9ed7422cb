"""Assembles short pieces of code and returns their machine code."""

from __future__ import annotations

from functools import cache

from quantmcu.emulator.elf import Elf
from quantmcu.emulator.objects import compile_for_core

HEADER = ".syntax unified\n.thumb\n.text\n"


def function(name: str, body: str) -> str:
    """A global function that starts at a word boundary."""
    return (
        f".balign 4\n.global {name}\n.type {name},%function\n.thumb_func\n{name}:\n{body}\n.size {name}, . - {name}\n"
    )


@cache
def assemble(body: str, core: str = "cortex-m7") -> bytes:
    """Machine code of `body`, without what follows it."""
    elf = Elf(compile_for_core([HEADER + function("code", body)], core, flags=()))
    found = next(f for f in elf.functions if f.name == "code")
    text = elf.segments[0]
    return text.data[found.address - text.address :][: found.size]
