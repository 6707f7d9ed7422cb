"""Cortex-M7: dual issue, in order, six stages.

Arm publishes no timing table of this core. Units, pairing and latencies follow the two public scheduling models, LLVM's
`ARMScheduleM7.td` (two arithmetic pipes, of which one has the DSP extensions; one multiplier; two loads of different
banks; one store; one floating-point pipe; shifted operands and addresses needed one stage early, accumulators and store
data one stage late) and GCC's `cortex-m7.md` (which instructions exclude each other). The branch predictor, two-bit
counters with the last target, and its penalty are this model's own. Memory without wait states (TCM or cache hits).

An instruction issues in one of two slots of a cycle. Results have three ages: when the late arithmetic stage may use
them, when the early stage (addresses, shifter) may, and when the multiplier may use them as a factor.
"""

from __future__ import annotations

from dataclasses import dataclass

from quantmcu.emulator.timing.instruction import BURSTS, FLAGS, PROGRAM_COUNTER, Block, Instruction, Kind
from quantmcu.emulator.timing.model import CycleModel

_LOADS = {Kind.LOAD, Kind.FP_LOAD}
_STORES = {Kind.STORE, Kind.FP_STORE}
_FP_ARITHMETIC = {Kind.FP_ALU, Kind.FP_MULTIPLY_ADD, Kind.FP_DIVIDE}
_ALONE = BURSTS | {Kind.DIVIDE, Kind.SYSTEM, Kind.TABLE_BRANCH}
# Pairs of kinds that share a unit or a register port, in either order.
_CONFLICTS = (
    {frozenset({Kind.MULTIPLY}), frozenset({Kind.MULTIPLY, Kind.STORE}), frozenset({Kind.BRANCH})}
    | {frozenset({a, b}) for a in _STORES for b in _STORES}
    | {frozenset({a, b}) for a in _FP_ARITHMETIC for b in _FP_ARITHMETIC}
    | {frozenset({Kind.FP_MULTIPLY_ADD, b}) for b in (Kind.FP_LOAD, Kind.FP_STORE, Kind.FP_MOVE)}
)
# The longest dependency that reaches into a block from the one before is far shorter than this many instructions.
_HISTORY = 24


@dataclass
class CortexM7(CycleModel):
    """Timing of Cortex-M7.

    Attributes:
        misprediction_cycles: refill after a wrong prediction.
        divide_cycles: typical for 32-bit operands (LLVM: 7, GCC: 4).
        long_multiply_cycles: cycles for which a multiplication with a 64-bit result (SMLAL, SMULL, ...) keeps the
            multiplier. LLVM's model says 1; no measurement is known, and 2 is possible.
    """

    name: str = "cortex-m7"
    misprediction_cycles: int = 7
    divide_cycles: int = 6
    long_multiply_cycles: int = 1

    def edge_half_cycles(self, previous: Block, block: Block, taken: bool) -> int:
        """See `CycleModel`. Dependencies and pairing reach across the edge."""
        pipeline = _Pipeline(self)
        for instruction in previous[-_HISTORY:]:
            pipeline.issue(instruction)
        start = pipeline.half_cycles
        for instruction in block:
            pipeline.issue(instruction)
        return pipeline.half_cycles - start


class _Pipeline:
    """Issue state and scoreboard. `cycle` is the cycle now being filled, `older` what its first slot holds."""

    def __init__(self, model: CortexM7) -> None:
        self.model = model
        self.cycle = 0
        self.older: Instruction | None = None
        self.late: dict[str, int] = {}
        self.early: dict[str, int] = {}
        self.factor: dict[str, int] = {}
        self.fp_free = 0
        self.multiplier_free = 0

    @property
    def half_cycles(self) -> int:
        return 2 * self.cycle + (self.older is not None)

    def issue(self, instruction: Instruction) -> None:
        ready = self._operands_ready(instruction)
        if instruction.kind in _FP_ARITHMETIC:
            ready = max(ready, self.fp_free)
        if instruction.kind is Kind.MULTIPLY:
            ready = max(ready, self.multiplier_free)
        if self.older is not None and (ready > self.cycle or not _may_pair(self.older, instruction)):
            self._next_cycle(self.cycle + 1)
        if ready > self.cycle:
            self._next_cycle(ready)
        self._write_results(instruction)
        self._occupy(instruction)

    def _next_cycle(self, cycle: int) -> None:
        self.cycle = cycle
        self.older = None

    def _operands_ready(self, instruction: Instruction) -> int:
        """First cycle in which all operands can be had where this instruction needs them."""
        ready = 0
        for register in instruction.reads:
            late = self.late.get(register, 0)
            if register == FLAGS and instruction.kind is Kind.BRANCH:
                continue  # predicted
            if register in instruction.address_registers or register in instruction.early_reads:
                at = self.early.get(register, 0)
            elif instruction.kind is Kind.STORE:
                at = late - 1  # data is stored one stage later
            elif instruction.kind is Kind.MULTIPLY:
                # The sum of one multiplication reaches the next one's accumulator without delay.
                at = late - 1 if register in instruction.accumulators else self.factor.get(register, late)
            else:
                at = late
            ready = max(ready, at)
        if instruction.kind in BURSTS:
            ready = max([ready, *(self.early.get(r, 0) for r in instruction.address_registers)])
        return ready

    def _set(self, register: str, late: int, early: int, factor: int) -> None:
        self.late[register] = self.cycle + late
        self.early[register] = self.cycle + early
        self.factor[register] = self.cycle + factor

    def _write_results(self, instruction: Instruction) -> None:
        for register in instruction.writes - {PROGRAM_COUNTER}:  # its value is predicted, and never waited for
            self._set(register, *self._latencies(instruction, register))

    def _latencies(self, instruction: Instruction, register: str) -> tuple[int, int, int]:
        """Cycles from issue until the late stage, the early stage and the multiplier's factors can use the result."""
        is_core_register = register.startswith("r")
        match instruction.kind:
            case Kind.LOAD if instruction.writeback and register == instruction.base:
                return 1, 1, 1
            case Kind.LOAD:
                delay = 1 if instruction.access_bytes == 4 else 2  # narrow loads are extended
                return delay, delay + 1, 2
            case Kind.STORE | Kind.FP_STORE:  # the base, written back
                return 1, 1, 1
            case kind if kind in BURSTS:
                cycles = (instruction.transfers + 1) // 2
                return (1, 1, cycles + 1) if register == instruction.base else (cycles, cycles + 1, cycles + 1)
            case Kind.MULTIPLY:
                extra = self.model.long_multiply_cycles - 1 if instruction.long_multiply else 0
                return 2 + extra, 3 + extra, 2 + extra
            case Kind.DIVIDE:
                return self.model.divide_cycles, self.model.divide_cycles + 1, self.model.divide_cycles
            case Kind.ALU if is_core_register and (self._finishes_early(instruction)):
                return 0, 1, 1
            case Kind.ALU if instruction.name == "movw":
                return 0, 2, 1
            case Kind.FP_LOAD:
                return 1, 2, 1
            case Kind.FP_ALU:
                return 3, 4, 3
            case Kind.FP_MULTIPLY_ADD:
                return (8, 9, 8) if instruction.double else (3, 4, 3)
            case Kind.FP_DIVIDE:
                cycles = _fp_divide_cycles(instruction)
                return cycles, cycles + 1, cycles
            case Kind.FP_MOVE:
                return (1, 2, 1) if is_core_register else (3, 2, 3)
            case _:
                return 1, 2, 1

    def _finishes_early(self, instruction: Instruction) -> bool:
        """A simple operation in the first slot whose operands are there early feeds even the second slot."""
        sources = (r for r in instruction.reads if r.startswith("r"))
        return instruction.simple and self.older is None and all(self.early.get(r, 0) <= self.cycle for r in sources)

    def _occupy(self, instruction: Instruction) -> None:
        """Advances the issue slots past the instruction, and marks units that stay busy."""
        alone = 0
        match instruction.kind:
            case kind if kind in BURSTS:
                alone = max(1, (instruction.transfers + 1) // 2)
            case Kind.DIVIDE:
                alone = self.model.divide_cycles
            case Kind.FP_DIVIDE:
                alone = _fp_divide_cycles(instruction)
            case Kind.SYSTEM:
                alone = 3
            case Kind.TABLE_BRANCH:
                alone = 2
            case Kind.FP_ALU:
                double_multiply = instruction.double and instruction.name in ("vmul", "vnmul")
                self.fp_free = self.cycle + (5 if double_multiply else 1)
            case Kind.FP_MULTIPLY_ADD:
                self.fp_free = self.cycle + (7 if instruction.double else 1)
            case Kind.MULTIPLY:
                self.multiplier_free = self.cycle + (
                    self.model.long_multiply_cycles if instruction.long_multiply else 1
                )
        if alone:
            self._next_cycle(self.cycle + alone)
        elif self.older is None:
            self.older = instruction
        else:
            self._next_cycle(self.cycle + 1)


def _fp_divide_cycles(instruction: Instruction) -> int:
    return 30 if instruction.double else 16


def _may_pair(older: Instruction, younger: Instruction) -> bool:
    """Whether the younger instruction may issue in the second slot beside the older one (data hazards apart)."""
    if older.kind in _ALONE or younger.kind in _ALONE:
        return False
    if frozenset({older.kind, younger.kind}) in _CONFLICTS:
        return False
    if younger.kind is Kind.DSP:  # only the first slot's pipe has the DSP extensions
        return False
    if older.shifted and younger.shifted:  # one shifter
        return False
    if older.writes & younger.writes - {FLAGS}:
        return False
    if older.kind in _LOADS and younger.kind in _LOADS and _same_bank(older, younger):
        return False
    fp_transfer = {Kind.FP_LOAD, Kind.FP_STORE}
    return not any(i.kind in fp_transfer and i.transfers == 2 for i in (older, younger))


def _same_bank(older: Instruction, younger: Instruction) -> bool:
    """Two loads a cycle need different 32-bit banks of the 64-bit memory; known only for offsets from one base."""
    if older.base != younger.base or older.writeback or older.offset is None or younger.offset is None:
        return False
    return ((older.offset ^ younger.offset) >> 2) & 1 == 0
