"""What the code of a network shall be good at: `--optimize speed|balanced|size`.

speed: every step gets the kernel with the fewest predicted cycles.
balanced: the same, but all generated code together stays below `generated_code_limit`: beyond it, those steps get
kernels shared by all shapes that lose the fewest cycles by it.
size: code generated for a shape and weights stored wider than their bits must save `CYCLES_PER_BYTE` for each byte.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Literal, get_args

from quantmcu.codegen.kernel import LoweredStep
from quantmcu.errors import UsageError

Optimize = Literal["balanced", "speed", "size"]
OPTIMIZE: tuple[Optimize, ...] = get_args(Optimize)

GENERATED_CODE_LIMIT = 64 * 1024
GENERATED_CODE_SHARE = 16
"""Where one part in so many of the flash is more than that limit, it is the limit.

MobileNetV2 on 2 MB with many bits has 67 KiB of it; the one file too many saves 2.3 of 70 million cycles in 4.5 KiB.
"""
CYCLES_PER_BYTE = 1000

_INSTRUCTION = re.compile(r'^\s*"\s*[a-z][^:"]*\\n"', re.MULTILINE)
_BYTES_PER_INSTRUCTION = 4  # most are; a few have two bytes
_BYTES_OF_C = 64  # what a generated driver compiles to, about


def generated_code(lowered: LoweredStep) -> Mapping[str, int]:
    """Estimated bytes of machine code by generated source file."""
    return {
        name: _code_bytes(text)
        for name, text in lowered.generated.items()
        if name.endswith(".c")
    }


@cache
def _code_bytes(text: str) -> int:
    return _BYTES_OF_C + _BYTES_PER_INSTRUCTION * len(_INSTRUCTION.findall(text))


def generated_code_limit(flash: int | None) -> int:
    """Bytes of generated code in all where the network has `flash` bytes for constants and generated code."""
    return max(GENERATED_CODE_LIMIT, (flash or 0) // GENERATED_CODE_SHARE)


def constant_bytes(lowered: LoweredStep) -> int:
    """Bytes of constants in flash."""
    return sum(constant.nbytes for constant in lowered.constants)


def check_optimize(word: str) -> None:
    """Refuses what is none of `OPTIMIZE`.

    Raises:
        UsageError: `word` is none of them.
    """
    if word not in OPTIMIZE:
        raise UsageError(f"{word!r} is nothing to optimize for", "--optimize", hint=f"one of {', '.join(OPTIMIZE)}")
