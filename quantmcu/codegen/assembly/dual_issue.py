"""Order of instructions for Cortex-M7: one SMLAD each cycle, and one other instruction beside it.

A product can use a loaded word two cycles after the load and an extended one a cycle after the extension
(`quantmcu/emulator/timing/cortex_m7.py`). So every other instruction has a latest cycle; from last to first each takes
the latest cycle that has room. Extensions run in the first issue slot only, before the product of their cycle; loads
come after it, so that they can take over a register that the product was the last to read.

With 2 channels x 4 pixels and the half-extension a group of four inputs takes 17 cycles, not 16: the four registers
that are left for operands all change hands between its first and second half, and two extensions and a load do not
fit beside the two products between them.
"""

from __future__ import annotations

import heapq

from quantmcu.codegen.assembly.products import Extend, Load, OperandRegisters, Products

_LOAD_TO_PRODUCT = 2
_LOAD_TO_EXTEND = 1
_EXTEND_TO_PRODUCT = 1
_BEFORE_FIRST_PRODUCT = 2  # instructions a cycle when no product is there yet


def order_for_dual_issue(block: Products, registers: list[str]) -> list[str]:
    """Instructions that compute `block` with operands in `registers`.

    Raises:
        ValueError: there are too few registers.
    """
    cycles = _latest_cycles(block)
    emitter = _Emitter(block, registers)
    by_cycle: dict[int, list[str]] = {}
    for name, cycle in cycles.items():
        by_cycle.setdefault(cycle, []).append(name)
    for cycle in range(min(cycles.values()), len(block.products)):
        names = by_cycle.get(cycle, [])
        for name in names:
            if isinstance(block.values[name], Extend):
                emitter.define(name)
        if cycle >= 0:
            emitter.product(cycle)
        for name in names:
            if isinstance(block.values[name], Load):
                emitter.define(name)
    return emitter.operands.lines


def _latest_cycles(block: Products) -> dict[str, int]:
    """The cycle of each load and extension; cycle i is that of product i."""
    first = block.first_use()
    latest: dict[str, int] = {}
    waiting_extends: dict[str, int] = {}
    for value in block.values.values():
        if isinstance(value, Extend):
            waiting_extends[value.source] = waiting_extends.get(value.source, 0) + 1
    for name, value in block.values.items():
        if isinstance(value, Extend):
            latest[name] = first[name] - _EXTEND_TO_PRODUCT
        elif name in first:
            latest[name] = first[name] - _LOAD_TO_PRODUCT
    order = {name: index for index, name in enumerate(block.values)}
    heap = [(-latest[name], -order[name], name) for name in latest if not waiting_extends.get(name)]
    heapq.heapify(heap)
    beside_product = -(-len(block.values) // len(block.products))
    used: dict[int, int] = {}
    placed: dict[str, int] = {}
    while heap:
        negated, _, name = heapq.heappop(heap)
        cycle = -negated
        while used.get(cycle, 0) >= (beside_product if cycle >= 0 else _BEFORE_FIRST_PRODUCT):
            cycle -= 1
        used[cycle] = used.get(cycle, 0) + 1
        placed[name] = cycle
        value = block.values[name]
        if isinstance(value, Extend):
            source = value.source
            latest[source] = min(latest.get(source, cycle - _LOAD_TO_EXTEND), cycle - _LOAD_TO_EXTEND)
            waiting_extends[source] -= 1
            if not waiting_extends[source]:
                heapq.heappush(heap, (-latest[source], -order[source], source))
    return placed


class _Emitter:
    """A load or extension for which there is no register yet waits until there is one."""

    def __init__(self, block: Products, registers: list[str]) -> None:
        self.block = block
        self.operands = OperandRegisters(block, registers)
        self.waiting: list[str] = []

    def define(self, name: str) -> None:
        if self.waiting or not self.operands.define(name):
            self.waiting.append(name)

    def product(self, index: int) -> None:
        product = self.block.products[index]
        while product.left not in self.operands or product.right not in self.operands:
            if not any(self._define_waiting(name) for name in list(self.waiting)):
                raise ValueError(f"too few registers for product {index}")
        self.operands.emit_product(product)
        while self.waiting and self._define_waiting(self.waiting[0]):
            pass

    def _define_waiting(self, name: str) -> bool:
        if not self.operands.define(name):
            return False
        self.waiting.remove(name)
        return True
