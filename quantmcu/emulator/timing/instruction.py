"""One decoded Thumb-2 instruction, as the cycle models see it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    """Classes of instructions that a pipeline treats alike."""

    ALU = auto()
    MULTIPLY = auto()  # with or without accumulation
    DSP = auto()  # extension, bit field, saturation, parallel arithmetic
    DIVIDE = auto()
    LOAD = auto()
    STORE = auto()
    LOAD_MULTIPLE = auto()  # LDM, POP, LDRD
    STORE_MULTIPLE = auto()  # STM, PUSH, STRD
    BRANCH = auto()
    TABLE_BRANCH = auto()
    IF_THEN = auto()
    NOP = auto()  # with hints and preloads
    SYSTEM = auto()
    FP_ALU = auto()
    FP_MULTIPLY_ADD = auto()
    FP_DIVIDE = auto()  # with square root
    FP_MOVE = auto()
    FP_LOAD = auto()
    FP_STORE = auto()
    FP_LOAD_MULTIPLE = auto()
    FP_STORE_MULTIPLE = auto()


FLOATING_POINT = frozenset(kind for kind in Kind if kind.name.startswith("FP_"))
BURSTS = frozenset({Kind.LOAD_MULTIPLE, Kind.STORE_MULTIPLE, Kind.FP_LOAD_MULTIPLE, Kind.FP_STORE_MULTIPLE})

PROGRAM_COUNTER = "r15"
FLAGS = "flags"  # APSR
FP_FLAGS = "fpflags"  # FPSCR


@dataclass(frozen=True, slots=True)
class Instruction:
    """Registers are named r0 to r15, s0 to s31 (a double is two of them), `FLAGS` and `FP_FLAGS`.

    Attributes:
        name: the instruction without condition, flag and width suffixes, e.g. `smlad`.
        size: bytes, 2 or 4.
        address_registers: registers that form a load's or store's address.
        accumulators: registers that a multiplication adds to.
        early_reads: registers needed one pipeline stage early, because they pass the shifter first.
        transfers: registers moved by a burst or a floating-point transfer, in words.
        access_bytes: width of a single load or store.
        base: base register of the address, `offset` its immediate offset in bytes (None without memory operand).
        shifted: uses the shifter (a shifted operand, a bit-field operation, or a constant made by shifting).
        simple: addition, move or shift without a shifted operand, which Cortex-M7 can finish early.
        conditional: executed under IT, or a conditional branch.
        writes_pc: a load, pop or arithmetic instruction that is a branch.
    """

    address: int
    size: int
    name: str
    kind: Kind
    reads: frozenset[str]
    writes: frozenset[str]
    address_registers: frozenset[str] = frozenset()
    accumulators: frozenset[str] = frozenset()
    early_reads: frozenset[str] = frozenset()
    transfers: int = 1
    access_bytes: int = 4
    base: str | None = None
    offset: int | None = None
    writeback: bool = False
    shifted: bool = False
    simple: bool = False
    double: bool = False
    conditional: bool = False
    writes_pc: bool = False

    @property
    def long_multiply(self) -> bool:
        """A multiplication with a 64-bit result."""
        return self.kind is Kind.MULTIPLY and len(self.writes - {FLAGS}) == 2


Block = tuple[Instruction, ...]
