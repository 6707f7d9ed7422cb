"""The sums of products of a block, before instructions are ordered and registers chosen."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Load:
    """A word loaded from `offset` bytes behind register `base`, which holds its `run`-th address then."""

    base: str
    offset: int
    run: int = 0


@dataclass(frozen=True)
class Extend:
    """SXTB16 or UXTB16 of another value, rotated right: its even bytes, or its odd ones, as two half-words."""

    source: str
    rotation: int = 0
    is_signed: bool = True

    def instruction(self, target: str, register: str) -> str:
        """The instruction that computes it from `register`."""
        mnemonic = "sxtb16" if self.is_signed else "uxtb16"
        return f"{mnemonic} {target}, {register}" + (f", ror #{self.rotation}" if self.rotation else "")


@dataclass(frozen=True)
class LowNibbles(Extend):
    """The lowest four bits of each half-word of another value."""

    def instruction(self, target: str, register: str) -> str:
        """See `Extend`."""
        return f"and.w {target}, {register}, #0x000f000f"


@dataclass(frozen=True)
class Product:
    """A multiplication that adds to sums in registers, e.g. `smlad r4, {left}, {right}, r4`.

    Attributes:
        instruction: with places for the registers of the factors.
        left, right: names of the factors' values.
    """

    instruction: str
    left: str
    right: str
    comment: str = ""


@dataclass
class Products:
    """A sequence of products in the order of execution, and where their operands come from.

    Attributes:
        addresses: instructions that put the next address into a base register, by (base, run); run 0 needs none. All
            loads of a run come before those of the next.
    """

    products: list[Product] = field(default_factory=list)
    values: dict[str, Load | Extend] = field(default_factory=dict)
    addresses: dict[tuple[str, int], str] = field(default_factory=dict)

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

    def origin(self, name: str) -> str:
        """The loaded value that `name` is made of."""
        value = self.values[name]
        return self.origin(value.source) if isinstance(value, Extend) else name

    def first_use(self) -> dict[str, int]:
        """Index of the first product that reads each value; values read only by extensions are missing."""
        first: dict[str, int] = {}
        for index, product in enumerate(self.products):
            first.setdefault(product.left, index)
            first.setdefault(product.right, index)
        return first


class OperandRegisters:
    """Emits the instructions that bring values into registers, and takes registers back after the last use.

    Attributes:
        lines: the instructions so far.
    """

    def __init__(self, block: Products, registers: list[str]) -> None:
        self.lines: list[str] = []
        self._block = block
        self._free = list(registers)
        self._uses_left = block.uses()
        self._register: dict[str, str] = {}
        self._extensions_left: dict[str, int] = {}
        self._loads_left: dict[tuple[str, int], int] = {}
        for value in block.values.values():
            if isinstance(value, Extend):
                self._extensions_left[value.source] = self._extensions_left.get(value.source, 0) + 1
            else:
                key = (value.base, value.run)
                self._loads_left[key] = self._loads_left.get(key, 0) + 1

    def has_room_for(self, name: str) -> bool:
        """Whether a register is free for `name` besides those that the first extensions of loaded words still need."""
        awaited = sum(self._extensions_left.get(word, 0) > 1 for word in self._register)
        return len(self._free) > awaited + (self._extensions_left.get(name, 0) > 1)

    def __contains__(self, value: str) -> bool:
        return value in self._register

    def define(self, name: str) -> bool:
        """Emits the load or extension that makes value `name`; False where a register or an address is missing yet."""
        value = self._block.values[name]
        return self._extend(name, value) if isinstance(value, Extend) else self._load(name, value)

    def emit_product(self, product: Product) -> None:
        """Emits a product whose operands are in registers."""
        left, right = self._register[product.left], self._register[product.right]
        comment = f" @ {product.comment}" if product.comment else ""
        self.lines.append(product.instruction.format(left=left, right=right) + comment)
        for name in (product.left, product.right):
            self._uses_left[name] -= 1
            if self._uses_left[name] == 0:
                self._free.append(self._register[name])

    def _load(self, name: str, load: Load) -> bool:
        earlier = self._loads_left.get((load.base, load.run - 1), 0)
        if not self._free or earlier > 0:
            return False
        self._register[name] = self._free.pop(0)
        self.lines.append(f"ldr.w {self._register[name]}, [{load.base}, #{load.offset}]")
        self._loads_left[load.base, load.run] -= 1
        if self._loads_left[load.base, load.run] == 0 and (load.base, load.run + 1) in self._loads_left:
            self.lines.append(self._block.addresses[load.base, load.run + 1])
        return True

    def _extend(self, name: str, value: Extend) -> bool:
        """In place where it is the source's last use."""
        source = value.source
        if source not in self._register:
            return False
        register = self._register[source]
        last = self._uses_left[source] == 1
        if not last and not self._free:
            return False
        self._uses_left[source] -= 1
        self._extensions_left[source] -= 1
        self._register[name] = register if last else self._free.pop(0)
        self.lines.append(value.instruction(self._register[name], register))
        return True
