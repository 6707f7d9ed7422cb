"""Peripheral registers that firmware waits for, as data: the key `quantmcu.emulator` of a board's manifest.

All other registers read as last written. For each register with more to it:

    {"name": "RCC_CR", "address": "0x40023800", "reset": "0x83",
     "mirrors": [{"bit": 17, "of": 16}, {"bit": 2, "width": 2, "of": 0, "register": "RCC_CFGR"}]}

`reset` is its value after a reset. Each mirror makes the field of `width` bits (default 1) at `bit` read as the field
at bit `of` of `register` (default: the same one), or as its opposite where it has `"inverted": true`: a ready flag
follows its enable bit. `"counts_hz": 1000000` makes a register count microseconds; `"resets_by_bit": 31`
resets the chip when that bit is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quantmcu.errors import UsageError


@dataclass(frozen=True)
class Mirror:
    """The field of `width` bits at `bit` reads as that at bit `of` of the register at `source`, or inverted."""

    bit: int
    width: int
    source: int
    of: int
    inverted: bool = False

    def apply(self, value: int, source_value: int) -> int:
        """`value` with its field replaced."""
        mask = (1 << self.width) - 1
        field = source_value >> self.of & mask
        return (value & ~(mask << self.bit)) | ((field ^ mask if self.inverted else field) << self.bit)


@dataclass(frozen=True)
class RegisterRule:
    """A register with a reset value, or with bits that other bits determine.

    Attributes:
        counts_hz: it counts time at this frequency, from power-up on.
        resets_by_bit: writing this bit resets the chip.
    """

    name: str
    address: int
    reset: int
    mirrors: tuple[Mirror, ...]
    counts_hz: int | None = None
    resets_by_bit: int | None = None


def register_rules(emulator: Mapping[str, Any]) -> tuple[RegisterRule, ...]:
    """The rules in the key `emulator` of a manifest.

    Raises:
        UsageError: an entry lacks a field, or names a register that has no entry.
    """
    try:
        entries = emulator.get("registers", [])
        addresses = {entry["name"]: int(entry["address"], 16) for entry in entries}
        return tuple(_rule(entry, addresses) for entry in entries)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            "the board's manifest describes its emulated registers wrongly",
            where="quantmcu.emulator.registers",
            why=f"{type(error).__name__}: {error}",
            hint="each needs name and address; mirrors need bit and of, and may name another register of the list",
        ) from error


def _rule(entry: Mapping[str, Any], addresses: Mapping[str, int]) -> RegisterRule:
    name = entry["name"]
    mirrors = tuple(
        Mirror(m["bit"], m.get("width", 1), addresses[m.get("register", name)], m["of"], m.get("inverted", False))
        for m in entry.get("mirrors", ())
    )
    reset = int(entry.get("reset", "0x0"), 16)
    return RegisterRule(name, addresses[name], reset, mirrors, entry.get("counts_hz"), entry.get("resets_by_bit"))
