"""What is known of registers while a function's instructions are read in order.

Armv6-M has no instruction that moves the stack pointer by more than 508 bytes: compilers add a register that they
loaded with a constant, and come back by way of the frame pointer.
"""

from __future__ import annotations

import re

_IMMEDIATE = re.compile(r"#(-?(?:0x)?[0-9a-f]+)$")
_WRITES_NO_REGISTER = ("st", "vst", "cmp", "cmn", "tst", "push", "cb")
_CALLER_SAVED = ("r0", "r1", "r2", "r3", "ip")


class Registers:
    """Constants in registers, and registers that point into the stack frame."""

    def __init__(self) -> None:
        self._constants: dict[str, int] = {}
        self._in_frame: set[str] = set()

    def constant(self, register: str) -> int | None:
        """The signed constant in a register, where it is known."""
        value = self._constants.get(register)
        return None if value is None else value - (1 << 32 if value >> 31 else 0)

    def points_into_frame(self, register: str) -> bool:
        """Whether a register holds what the stack pointer was, less constants."""
        return register in self._in_frame

    def follow(self, name: str, operands: str, literal: int | None) -> None:
        """Takes note of what an instruction writes.

        Args:
            name: mnemonic without its width.
            operands: in the disassembler's notation.
            literal: the constant that it loads from beside the code.
        """
        if name in ("bl", "blx"):
            for register in _CALLER_SAVED:
                self._constants.pop(register, None)
                self._in_frame.discard(register)
        if name in ("bl", "blx") or name.startswith(_WRITES_NO_REGISTER):
            return
        target, _, rest = operands.partition(", ")
        source = rest.partition(", ")[0] if ", " in rest else rest
        immediate = _IMMEDIATE.search(rest)
        known = self._constants.pop(target, None)
        in_frame = target in self._in_frame
        self._in_frame.discard(target)
        if literal is not None:
            self._constants[target] = literal
        elif name in ("mov", "movs") and immediate:
            self._constants[target] = int(immediate[1], 0) & 0xFFFFFFFF
        elif name == "lsls" and immediate and source in (target, immediate[0]) and known is not None:
            self._constants[target] = known << int(immediate[1], 0) & 0xFFFFFFFF
        elif name in ("rsbs", "negs") and source == target and known is not None:
            self._constants[target] = -known & 0xFFFFFFFF
        elif name == "mov" or (name in ("add", "adds", "sub", "subs") and immediate):
            base = target if immediate and source == immediate[0] else source
            if base == "sp" or base in self._in_frame or (base == target and in_frame):
                self._in_frame.add(target)
