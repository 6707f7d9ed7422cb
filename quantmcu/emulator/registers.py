"""Memory-mapped registers that read as last written, with a few rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from quantmcu.emulator.rules import RegisterRule

Read = Callable[[], int]
Write = Callable[[int], None]


class RegisterFile:
    """Registers of 32 bits by address. Accesses of 8 and 16 bits reach their part of the register.

    Attributes:
        unwritten_reads: how often registers were read that were never written and have no rule, by address: what the
            model may be missing when firmware behaves differently than on its chip.
    """

    def __init__(self, rules: Iterable[RegisterRule]) -> None:
        self._rules = {rule.address: rule for rule in rules}
        self._readers: dict[int, Read] = {}
        self._writers: dict[int, Write] = {}
        self.unwritten_reads: Counter[int] = Counter()
        self.reset()

    def reset(self) -> None:
        """All registers as after a reset of the chip."""
        self._values = {rule.address: rule.reset for rule in self._rules.values()}

    def define(self, address: int, read: Read | None = None, write: Write | None = None) -> None:
        """Gives the register at `address` behaviour of its own, for whole words."""
        if read is not None:
            self._readers[address] = read
        if write is not None:
            self._writers[address] = write

    def read(self, address: int, size: int) -> int:
        """The `size` bytes at `address`, which lie within one register."""
        word = address & ~3
        if word in self._readers:
            value = self._readers[word]()
        elif word in self._values:
            value = self._ruled_value(word)
        else:
            self.unwritten_reads[word] += 1
            value = 0
        return value >> 8 * (address & 3) & ((1 << 8 * size) - 1)

    def write(self, address: int, size: int, value: int) -> None:
        """Stores the `size` bytes at `address`, which lie within one register."""
        word = address & ~3
        shift = 8 * (address & 3)
        mask = ((1 << 8 * size) - 1) << shift
        merged = (self._values.get(word, 0) & ~mask | value << shift & mask) & 0xFFFFFFFF
        self._values[word] = merged
        if word in self._writers:
            self._writers[word](merged)

    def value(self, address: int) -> int:
        """What was last written to the register at `address`, or its reset value."""
        return self._values.get(address, 0)

    def set_value(self, address: int, value: int) -> None:
        """Changes a register as hardware does, without the effects of a write."""
        self._values[address] = value & 0xFFFFFFFF

    def _ruled_value(self, address: int) -> int:
        value = self._values[address]
        rule = self._rules.get(address)
        if rule is not None:
            for mirror in rule.mirrors:
                value = mirror.apply(value, self._values.get(mirror.source, 0))
        return value
