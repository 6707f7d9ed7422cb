"""Order of instructions for Cortex-M4 and its like: one instruction a cycle.

A load takes two cycles, but a row of n loads takes n + 1 (Arm Cortex-M4 Technical Reference Manual, 3.3.3): so loads
are put together in bursts that fill all free registers.
"""

from __future__ import annotations

from quantmcu.codegen.assembly.products import OperandRegisters, Products


def order_for_single_issue(block: Products, registers: list[str]) -> list[str]:
    """Instructions that compute `block` with operands in `registers`.

    Raises:
        ValueError: there are too few registers.
    """
    operands = OperandRegisters(block, registers)
    waiting = _loads_by_need(block)
    for product in block.products:
        for name in (product.left, product.right):
            if name in operands:
                continue
            origin = block.origin(name)
            if origin not in operands:
                while waiting and (operands.has_room_for(waiting[0]) or origin not in operands):
                    if not operands.define(waiting[0]):
                        break
                    waiting.pop(0)
            if name not in operands and not operands.define(name):
                raise ValueError(f"too few registers for {name}")
        operands.emit_product(product)
    return operands.lines


def cycles_of_single_issue(lines: list[str]) -> int:
    """Cycles of what `order_for_single_issue` returns."""
    loads = [line.startswith("ldr") for line in lines]
    return len(lines) + sum(load and not after for load, after in zip(loads, [*loads[1:], False], strict=True))


def _loads_by_need(block: Products) -> list[str]:
    """Names of loaded values in the order in which products need them."""
    order: dict[str, None] = {}
    for product in block.products:
        for name in (product.left, product.right):
            order.setdefault(block.origin(name))
    return list(order)
