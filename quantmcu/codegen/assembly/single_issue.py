"""Order of instructions for Cortex-M4 and its like: one instruction a cycle.

A load takes two cycles, but a row of n loads takes n + 1 (Arm Cortex-M4 Technical Reference Manual, 3.3.3): so loads are put
together in bursts that fill all free registers.
"""

from __future__ import annotations

from quantmcu.codegen.assembly.products import Extend, Load, Products, RegisterFile


def order_for_single_issue(block: Products, registers: list[str]) -> list[str]:
    """Instructions that compute `block` with operands in `registers`.

    Raises:
        ValueError: there are too few registers.
    """
    file = RegisterFile(registers, block.uses())
    waiting = _loads_by_need(block)
    lines: list[str] = []

    def load_burst() -> None:
        while waiting and file.free:
            name = waiting.pop(0)
            load = block.values[name]
            assert isinstance(load, Load)
            lines.append(f"ldr.w {file.take(name)}, [{load.base}, #{load.offset}]")

    def provide(name: str) -> None:
        value = block.values[name]
        source = value.source if isinstance(value, Extend) else name
        if source not in file:
            load_burst()
        if source not in file:
            raise ValueError(f"too few registers to load {source}")
        if isinstance(value, Extend):
            if not file.can_derive(source):
                raise ValueError(f"too few registers to extend {source}")
            target, register = file.derive(name, source)
            lines.append(f"sxtb16 {target}, {register}")

    for product in block.products:
        for name in (product.left, product.right):
            if name not in file:
                provide(name)
        left, right = file[product.left], file[product.right]
        lines.append(f"smlad {product.accumulator}, {left}, {right}, {product.addend}")
        file.release(product.left)
        file.release(product.right)
    return lines


def _loads_by_need(block: Products) -> list[str]:
    """Names of loaded values in the order in which products need them."""
    order: dict[str, None] = {}
    for product in block.products:
        for name in (product.left, product.right):
            value = block.values[name]
            order.setdefault(value.source if isinstance(value, Extend) else name)
    return list(order)
