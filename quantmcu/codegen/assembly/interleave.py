"""Reorders a branch-free piece of assembly for Cortex-M7's two issue slots; registers stay as they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile

_REGISTER = re.compile(r"\b(?:r\d+|sp|lr)\b")
_MULTIPLY, _DSP, _LOAD, _STORE, _ALU = "multiply", "dsp", "load", "store", "alu"
# Instructions further apart than this keep their order.
_WINDOW = 48
_KINDS = {
    "sm": _MULTIPLY,
    "us": _DSP,
    "ub": _DSP,
    "sx": _DSP,
    "ux": _DSP,
    "pk": _DSP,
    "ld": _LOAD,
    "st": _STORE,
}


@dataclass(frozen=True)
class _Instruction:
    text: str
    kind: str
    reads: frozenset[str]
    address: frozenset[str]
    writes: frozenset[str]

    @property
    def shifts(self) -> bool:
        """Has a shifted operand, which is needed early; there is one shifter."""
        return self.kind == _ALU and (", lsl " in self.text or ", lsr " in self.text)


def interleave_for_dual_issue(lines: list[str], ordered_stores: bool = False, is_loop: bool = False) -> list[str]:
    """The same instructions in an order that issues in fewer cycles: list scheduling by the longest path to the end.

    With `is_loop`, the path goes on through the next turn, which waits for what it needs at its start.

    Loads and stores of memory are assumed not to touch the same bytes; with `ordered_stores`, stores may touch the same
    ones. Understands what the generators emit: loads, stores, SMxxx, USAT, UBFX, SXTB16, UXTB16, PKHBT, ADD, AND, ORR,
    ASR, MOV, and one CMP, whose flags nothing else changes.
    """
    instructions = [_parse(line) for line in lines]
    turns = 2 if is_loop else 1
    waits = [_predecessors(instructions * turns, index, ordered_stores) for index in range(turns * len(instructions))]
    height = _heights(waits)
    followers: list[list[tuple[int, int]]] = [[] for _ in instructions]
    for index, before in enumerate(waits[: len(instructions)]):
        for earlier, delay in before.items():
            followers[earlier].append((index, delay))
    missing = list(map(len, waits))  # predecessors that are not issued
    earliest = [0] * len(instructions)
    waiting = list(range(len(instructions)))
    order: list[str] = []
    cycle = 0
    while waiting:
        older: _Instruction | None = None
        end = waiting[0] + _WINDOW
        for _ in range(2):
            ready = [
                i
                for i in takewhile(end.__gt__, waiting)
                if not missing[i] and earliest[i] <= cycle and (older is None or _may_pair(older, instructions[i]))
            ]
            if not ready:
                break
            # A DSP instruction fits the first slot only: prefer it there.
            best = max(ready, key=lambda i: (instructions[i].kind == _DSP and older is None, height[i], -i))
            waiting.remove(best)
            older = instructions[best]
            order.append(older.text)
            for index, delay in followers[best]:
                missing[index] -= 1
                earliest[index] = max(earliest[index], cycle + delay)
        cycle += 1
    return order


def _heights(waits: list[dict[int, int]]) -> list[int]:
    """Cycles from each instruction to the end, at least."""
    height = [0] * len(waits)
    for index, before in reversed(list(enumerate(waits))):
        for earlier, delay in before.items():
            height[earlier] = max(height[earlier], height[index] + max(delay, 1))
    return height


def _parse(line: str) -> _Instruction:
    mnemonic, _, operands = line.partition(" ")
    kind = _KINDS.get(mnemonic[:2], _ALU)
    memory = re.search(r"\[(.*?)\]", operands)
    address = frozenset(_REGISTER.findall(memory.group(1))) if memory else frozenset()
    named = _REGISTER.findall(operands)
    only_reads = kind == _STORE or mnemonic.startswith("cmp")
    results = 0 if only_reads else 2 if mnemonic == "smlal" else 1
    writes = frozenset(named[:results])
    # A sum of 64 bits is read where it is written.
    reads = frozenset(named if results == 2 else named[results:])
    if memory and not operands.rstrip().endswith("]"):  # writes the base back
        writes |= address
    return _Instruction(line, kind, reads, address, writes)


def _predecessors(instructions: list[_Instruction], index: int, ordered_stores: bool) -> dict[int, int]:
    """Earlier instructions that this one must follow, and by how many cycles."""
    this = instructions[index]
    waits: dict[int, int] = {}
    for earlier in range(max(0, index - _WINDOW), index):
        before = instructions[earlier]
        if before.writes & this.reads:
            waits[earlier] = _latency(before, this)
        elif before.writes & this.writes or (ordered_stores and before.kind == this.kind == _STORE):
            waits[earlier] = 1
        elif before.reads & this.writes:
            waits[earlier] = 0
    return waits


def _latency(before: _Instruction, this: _Instruction) -> int:
    early = bool(before.writes & this.address) or this.text.startswith(("usat ", "pkhbt")) or this.shifts
    if before.kind == _LOAD:
        return 2 if early or this.kind == _MULTIPLY else 1
    if before.kind == _MULTIPLY:
        return 1 if this.kind == _STORE and not early else 3 if early else 2
    return 2 if early else 1


def _may_pair(older: _Instruction, younger: _Instruction) -> bool:
    kinds = {older.kind, younger.kind}
    if younger.kind == _DSP or (older.kind == younger.kind and older.kind in (_MULTIPLY, _STORE)):
        return False
    if younger.shifts and (older.shifts or older.text.startswith(("ubfx", "usat", "pkhbt"))):
        return False
    return kinds != {_MULTIPLY, _STORE} and not older.writes & younger.writes
