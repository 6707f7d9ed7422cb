"""How much stack a firmware needs at most, from its machine code.

Every function is disassembled: what it ever takes off the stack pointer is its frame, and what it calls are edges of a
graph. A call through a pointer may reach every function whose address is taken and whose signature is that of a
pointer known in the caller's source file. So there are more paths in the graph than in the program; where they form a
circle, each of its functions counts once, since nothing here is recursive.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import capstone
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from quantmcu.build.registers import Registers
from quantmcu.build.signatures import Signature, Signatures, read_signatures
from quantmcu.emulator.elf import Elf, Function
from quantmcu.errors import QuantMCUError, ToolError
from quantmcu.targets import Board

_REGISTER_BYTES = {"r": 4, "s": 4, "d": 8}
_DECREMENT = re.compile(r"sp, (?:sp, )?#(?:0x)?([0-9a-f]+)$")
_WRITE_BACK = re.compile(r"\[sp, #-(?:0x)?([0-9a-f]+)\]!")
_LITERAL = re.compile(r"\[pc(?:, #(-?(?:0x)?[0-9a-f]+))?\]$")
_VENEER = re.compile("_veneer$|Thunk_")
_NETWORK = ("quantmcu_run", "quantmcu_run_part")
_BIT_FIELDS = ("bfc", "bfi", "bic", "bkpt")
_READS_FIRST_OPERAND = ("st", "vst", "ldm", "vldm", "cmp", "cmn", "tst")


@dataclass
class Frame:
    """What is known of a function.

    Attributes:
        nbytes: taken off the stack pointer.
        calls: addresses of functions that it calls or jumps to.
        calls_pointers: it calls through a pointer.
        names: addresses of functions that its code names without calling them.
    """

    function: Function
    nbytes: int = 0
    calls: set[int] = field(default_factory=set)
    calls_pointers: bool = False
    names: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class StackNeed:
    """The deepest stack below a function.

    Attributes:
        nbytes: with the function's own frame.
        path: names of the functions on the way down, with their frames.
    """

    nbytes: int
    path: tuple[tuple[str, int], ...]


class StackAnalysis:
    """The call graph of an ELF file with the stack frames of its functions.

    Args:
        elf: path of the linked file, or its bytes.

    Raises:
        UsageError: it is no ELF file for Arm.
        ToolError: a function moves the stack pointer in a way that is not understood.
    """

    def __init__(self, elf: Path | bytes) -> None:
        self._elf = Elf(elf)
        self._file = ELFFile(io.BytesIO(self._elf.data))
        self._entry = self._elf.symbols.get("Reset_Handler")
        self._taken: set[int] = set()
        self.frames = self._read_frames()

    def __contains__(self, name: str) -> bool:
        """Whether there is a function of this name."""
        return self._elf.symbols.get(name) in self.frames

    def need_of(self, name: str) -> StackNeed:
        """The deepest stack from function `name` on.

        Raises:
            ToolError: there is no such function.
            QuantMCUError: functions call each other in a circle, without pointers.
        """
        if name not in self:
            raise ToolError(f"there is no function {name} in the firmware", where=self._elf.name)
        return self._depths[self._component_of[self._elf.symbols[name]]]

    @cached_property
    def edges(self) -> Mapping[int, frozenset[int]]:
        """Addresses of the functions that each function may call."""
        signatures = read_signatures(self._file)
        return {
            address: frozenset(frame.calls | (self._targets(address, signatures) if frame.calls_pointers else set()))
            for address, frame in self.frames.items()
        }

    def _targets(self, caller: int, signatures: Signatures) -> set[int]:
        """What a call through a pointer may reach."""
        named, known = self.frames[caller].names, signatures.callable_from.get(caller)
        if caller == self._entry:
            return named
        if known is None:  # without source file: what the linker adds for far calls names what it calls
            return named if _VENEER.search(self.frames[caller].function.name) else named | self._taken
        return named | {address for address in self._taken if self._may_be(address, known, signatures)}

    def _may_be(self, address: int, known: frozenset[Signature], signatures: Signatures) -> bool:
        """Whether a function may be behind a pointer of one of the `known` signatures."""
        frame, signature = self.frames[address], signatures.of_function.get(address, ("void",))
        # Clang does not describe the parameters of a function in assembly (`naked`); none of ours calls another.
        is_bare = len(signature) == 1 and not frame.calls and not frame.calls_pointers
        return signature in known or (is_bare and any(signature[0] == other[0] for other in known))

    @cached_property
    def _components(self) -> list[tuple[int, ...]]:
        """Circles of functions, and single ones; those that are called come before their callers."""
        direct = {address: frozenset(frame.calls) for address, frame in self.frames.items()}
        for circle in _components(direct):
            if len(circle) > 1 or circle[0] in direct[circle[0]]:
                names = ", ".join(self.frames[address].function.name for address in circle)
                raise QuantMCUError(
                    "the stack that the firmware needs has no bound",
                    where=names,
                    why="the functions call each other in a circle",
                    hint="generated code is not recursive: please report this model",
                )
        return _components(self.edges)

    @cached_property
    def _component_of(self) -> Mapping[int, int]:
        return {address: index for index, circle in enumerate(self._components) for address in circle}

    @cached_property
    def _depths(self) -> list[StackNeed]:
        """By component."""
        depths: list[StackNeed] = []
        for circle in self._components:
            own = [(self.frames[address].function.name, self.frames[address].nbytes) for address in circle]
            called = {self._component_of[target] for address in circle for target in self.edges[address]}
            below = max(
                (depths[index] for index in called if index < len(depths)),
                key=lambda need: need.nbytes,
                default=StackNeed(0, ()),
            )
            depths.append(StackNeed(sum(nbytes for _, nbytes in own) + below.nbytes, (*own, *below.path)))
        return depths

    def _read_frames(self) -> dict[int, Frame]:
        frames = {f.address: Frame(f) for f in self._elf.functions}
        code = _Code(self._file, sorted(frames))
        for address, frame in frames.items():
            registers = Registers()
            for instruction in code.instructions(address):
                name = instruction.mnemonic.split(".")[0]
                frame.nbytes += self._taken_off(frame, name, instruction.op_str, registers)
                registers.follow(name, instruction.op_str, code.literal_of(instruction))
                self._follow(frame, instruction, frames)
            frame.names = {value & ~1 for value in code.values_of(address) if value & 1} & frames.keys()
            if address != self._entry:  # it jumps to what it names
                self._taken |= frame.names
        self._taken |= {word & ~1 for word in code.words() if word & 1 and word & ~1 in frames}
        return frames

    def _follow(self, frame: Frame, instruction: Any, frames: Mapping[int, Frame]) -> None:
        """Adds what an instruction calls, or jumps to."""
        name, operands = instruction.mnemonic.split(".")[0], instruction.op_str
        if name.startswith(("b", "cb")) and "#" in operands and not name.startswith(_BIT_FIELDS):
            goal = int(operands.rpartition("#")[2], 16) & ~1
            is_loop = goal == frame.function.address and name not in ("bl", "blx")
            if goal in frames and not is_loop:
                frame.calls.add(goal)
        elif name in ("blx", "bx") and operands != "lr":
            frame.calls_pointers = True
        elif operands.startswith("pc, ") and name in ("ldr", "mov", "add"):
            frame.calls_pointers = frame.calls_pointers or not operands.startswith("pc, [sp]")

    def _taken_off(self, frame: Frame, name: str, operands: str, registers: Registers) -> int:
        """Bytes by which an instruction moves the stack pointer down."""
        if name in ("push", "vpush") or (name in ("stmdb", "vstmdb") and operands.startswith("sp!")):
            return _list_bytes(operands)
        if match := _WRITE_BACK.search(operands):
            return int(match[1], 16 if "0x" in match[0] else 10)
        if not operands.startswith("sp, ") or name.startswith(_READS_FIRST_OPERAND):
            return 0
        if name in ("sub", "subw") and (match := _DECREMENT.match(operands)):
            return int(match[1], 16 if "0x" in match[0] else 10)
        if name in ("add", "addw") and _DECREMENT.match(operands):
            return 0
        if name == "mov" and (frame.function.address == self._entry or registers.points_into_frame(operands[4:])):
            return 0
        if name == "add" and (step := registers.constant(operands[4:])) is not None:
            return max(-step, 0)
        raise ToolError(
            "can't tell how much stack the firmware needs",
            where=f"{frame.function.name} in {self._elf.name}",
            why=f"it moves the stack pointer by `{name} {operands}`",
            hint="please report the compiler and its version (`quantmcu doctor`)",
        )


class _Code:
    """Machine code of an ELF file, apart from the data between it."""

    def __init__(self, file: Any, starts: Sequence[int]) -> None:
        self._sections = [
            (section["sh_addr"], section.data())
            for section in file.iter_sections()
            if section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR
        ]
        self._data = [
            (section["sh_addr"], section.data())
            for section in file.iter_sections()
            if section["sh_flags"] & (SH_FLAGS.SHF_ALLOC | SH_FLAGS.SHF_EXECINSTR) == SH_FLAGS.SHF_ALLOC
            and section["sh_type"] != "SHT_NOBITS"
            and section.name != ".vectors"
        ]
        marks = {
            (symbol["st_value"] & ~1, symbol.name[:2] == "$t")
            for symbol in file.get_section_by_name(".symtab").iter_symbols()
            if symbol.name[:2] in ("$t", "$d")
        }
        self._marks = sorted(marks)
        self._starts = starts
        self._literals: set[int] = set()
        self._decoder = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)

    def instructions(self, start: int) -> Iterator[Any]:
        """The instructions of the function at `start`."""
        end = next((address for address in self._starts if address > start), 1 << 32)
        for first, stop in self._code_ranges(start, end):
            yield from self._decoder.disasm(self._bytes(first, stop), first)

    def values_of(self, start: int) -> Iterator[int]:
        """The constants of 32 bits that a function loads, or puts together of two halves."""
        low: dict[str, int] = {}
        for instruction in self.instructions(start):
            name = instruction.mnemonic.split(".")[0]
            register, _, rest = instruction.op_str.partition(", ")
            if name == "movw":
                low[register] = int(rest[1:], 0)
            elif name == "movt" and register in low:
                yield low[register] | int(rest[1:], 0) << 16
            elif (literal := self.literal_of(instruction)) is not None:
                yield literal

    def literal_of(self, instruction: Any) -> int | None:
        """The constant of 32 bits that an instruction loads from beside the code."""
        match = _LITERAL.match(instruction.op_str.partition(", ")[2])
        if match is None or instruction.mnemonic.split(".")[0] != "ldr":
            return None
        address = ((instruction.address + 4) & ~3) + int(match[1] or "0", 0)
        self._literals.add(address)
        return int.from_bytes(self._bytes(address, address + 4), "little")

    def _code_ranges(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        inside = [mark for mark in self._marks if start < mark[0] < end]
        before = [is_code for address, is_code in self._marks if address <= start]
        edges = [(start, before[-1] if before else True), *inside]
        for (first, is_code), (stop, _) in zip(edges, [*edges[1:], (end, False)], strict=True):
            if is_code:
                yield first, stop

    def _bytes(self, first: int, stop: int) -> bytes:
        for address, data in self._sections:
            if address <= first < address + len(data):
                return bytes(data[first - address : stop - address])
        return b""

    def words(self) -> Iterator[int]:
        """All aligned words but those of the vector table, and those that instructions load by their place."""
        for address, data in (*self._data, *self._sections):
            skipped = -address % 4
            for offset in range(skipped, len(data) - 3, 4):
                if address + offset not in self._literals:
                    yield int.from_bytes(data[offset : offset + 4], "little")


def _list_bytes(operands: str) -> int:
    """Bytes of a register list `{r4, r5, lr}`."""
    inside = operands[operands.index("{") + 1 : operands.index("}")]
    return sum(_REGISTER_BYTES.get(register.strip()[0], 4) for register in inside.split(","))


def _components(edges: Mapping[int, Iterable[int]]) -> list[tuple[int, ...]]:
    """Strongly connected components, callees first (Tarjan's algorithm, without recursion)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    found: list[tuple[int, ...]] = []
    for root in edges:
        if root in index:
            continue
        work = [(root, iter(edges[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, targets = work[-1]
            for target in targets:
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(edges[target])))
                    break
                if target in on_stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    position = stack.index(node)
                    found.append(tuple(stack[position:]))
                    on_stack.difference_update(stack[position:])
                    del stack[position:]
    return found


def require_stack(elf: Path, board: Board) -> dict[str, int]:
    """Bytes of stack that the firmware needs at most, and the network in it, once it is known that they are there.

    Raises:
        QuantMCUError: the board reserves less.
        ToolError: see `StackAnalysis`.
    """
    analysis = StackAnalysis(elf)
    need = analysis.need_of("Reset_Handler")
    if need.nbytes > board.stack_bytes:
        deepest = sorted(need.path, key=lambda frame: -frame[1])[:4]
        raise QuantMCUError(
            f"the firmware needs up to {need.nbytes:,} bytes of stack, {need.nbytes - board.stack_bytes:,} more than "
            f"{board.id} reserves",
            where=str(elf),
            why="the largest frames: " + ", ".join(f"{name} {nbytes:,}" for name, nbytes in deepest),
            hint="a larger `stack_bytes` in the board's manifest (docs/adding-a-board.md)",
        )
    network = [analysis.need_of(name).nbytes for name in _NETWORK if name in analysis]
    return {"stack_need_bytes": need.nbytes, "network_stack_bytes": max(network)}
