"""The sums of products of a block, before instructions are ordered and registers chosen."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Load:
    """A word loaded from `offset` bytes behind register `base`."""

    base: str
    offset: int


@dataclass(frozen=True)
class Extend:
    """SXTB16 of another value: its low bytes, sign-extended to two half-words."""

    source: str


@dataclass(frozen=True)
class Product:
    """accumulator = left . right + addend (SMLAD); left and right are names of values, the others registers."""

    accumulator: str
    addend: str
    left: str
    right: str


@dataclass
class Products:
    """A sequence of products in the order of execution, and where their operands come from."""

    products: list[Product] = field(default_factory=list)
    values: dict[str, Load | Extend] = field(default_factory=dict)

    def uses(self) -> dict[str, int]:
        """How often each value is read, by products and by extensions."""
        count = dict.fromkeys(self.values, 0)
        for value in self.values.values():
            if isinstance(value, Extend):
                count[value.source] += 1
        for product in self.products:
            count[product.left] += 1
            count[product.right] += 1
        return count

    def first_use(self) -> dict[str, int]:
        """Index of the first product that reads each value; values read only by extensions are missing."""
        first: dict[str, int] = {}
        for index, product in enumerate(self.products):
            first.setdefault(product.left, index)
            first.setdefault(product.right, index)
        return first


class RegisterFile:
    """Hands out registers to values and takes them back after their last use."""

    def __init__(self, registers: list[str], uses: dict[str, int]) -> None:
        self._free = list(registers)
        self._left = dict(uses)
        self._register: dict[str, str] = {}

    @property
    def free(self) -> int:
        """Number of free registers."""
        return len(self._free)

    def __contains__(self, value: str) -> bool:
        return value in self._register

    def __getitem__(self, value: str) -> str:
        return self._register[value]

    def take(self, value: str) -> str:
        """A register for a new value."""
        self._register[value] = self._free.pop(0)
        return self._register[value]

    def can_derive(self, source: str) -> bool:
        """Whether a value computed from `source` can be given a register: a free one, or that of `source`."""
        return source in self._register and (self._left[source] == 1 or bool(self._free))

    def derive(self, value: str, source: str) -> tuple[str, str]:
        """Registers of a value computed from `source` and of `source`; the same one when this is its last use."""
        register = self._register[source]
        if self._left[source] == 1:
            self._left[source] = 0
            self._register[value] = register
            return register, register
        self._left[source] -= 1
        return self.take(value), register

    def release(self, value: str) -> None:
        """Notes that `value` was read."""
        self._left[value] -= 1
        if self._left[value] == 0:
            self._free.append(self._register[value])
