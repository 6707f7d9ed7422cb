"""Cortex-M3, Cortex-M4 and Cortex-M33: single issue, in order, three stages.

Instruction timing: Arm Cortex-M4 Technical Reference Manual (DDI 0439), table 3-1 and section 3.3.3 "Load/store
timings"; floating point: the same, table 7-1. Memory without wait states.
"""

from __future__ import annotations

from dataclasses import dataclass

from quantmcu.emulator.timing.instruction import BURSTS, Block, Instruction, Kind
from quantmcu.emulator.timing.model import CycleModel

_MEMORY = BURSTS | {Kind.LOAD, Kind.STORE, Kind.FP_LOAD, Kind.FP_STORE, Kind.TABLE_BRANCH}
_SINGLE_MEMORY = {Kind.LOAD, Kind.STORE, Kind.FP_LOAD, Kind.FP_STORE}
_FP_RESULTS = {Kind.FP_ALU, Kind.FP_MULTIPLY_ADD, Kind.FP_DIVIDE}
_FP_USES = _FP_RESULTS | {Kind.FP_MOVE, Kind.FP_STORE}
_ADDRESS_PRODUCERS = {Kind.ALU, Kind.MULTIPLY, Kind.DSP, Kind.DIVIDE, Kind.FP_MOVE}
_INDIRECT_BRANCHES = {"bx", "blx", "mov"}


@dataclass
class CortexM4(CycleModel):
    """Timing of Cortex-M4.

    Attributes:
        refill_cycles: pipeline refill after a taken branch (the manual's P = 1 to 3), `indirect_refill_cycles` where
            the target comes from a register or from memory.
        divide_cycles: the manual gives 2 to 12.
        accumulate_cycles: of a multiplication that adds; `long_multiply_cycles` of one with a 64-bit result.
        wide_run_cycles: added for the third consecutive 32-bit instruction at a half-word address, when the prefetch
            buffer runs dry; fitted, as is `scale`, on published zero-wait-state measurements of a NUCLEO-L4R5ZI.
    """

    name: str = "cortex-m4"
    scale: float = 1.057
    refill_cycles: int = 1
    indirect_refill_cycles: int = 2
    divide_cycles: int = 6
    accumulate_cycles: int = 1
    long_multiply_cycles: int = 1
    wide_run_cycles: int = 1

    def edge_half_cycles(self, previous: Block, block: Block, taken: bool) -> int:
        """See `CycleModel`."""
        cycles = self._block_cycles(block)
        if taken and previous:
            cycles += self.indirect_refill_cycles if _is_indirect(previous[-1]) else self.refill_cycles
            if block and block[0].size == 4 and block[0].address & 2:
                cycles += 1  # a 32-bit target that crosses a word takes two fetches
        return 2 * cycles

    def _block_cycles(self, block: Block) -> int:
        total = 0
        wide_run = 0
        previous: Instruction | None = None
        for instruction in block:
            total += self._issue_cycles(instruction, previous) + _stall_cycles(instruction, previous)
            wide_run = wide_run + 1 if instruction.size == 4 and instruction.address & 2 else 0
            if wide_run == 3:
                total += self.wide_run_cycles
            previous = instruction
        if previous is not None and _second_cycle_can_hide(previous):
            total += 1
        return total

    def _issue_cycles(self, instruction: Instruction, previous: Instruction | None) -> int:
        """Table 3-1, without dependencies. A single load counts 1 here; its second cycle is a stall where it shows."""
        match instruction.kind:
            case Kind.IF_THEN:  # folded behind a 16-bit instruction
                return 0 if previous is not None and previous.size == 2 else 1
            case Kind.LOAD:
                return 2 if instruction.writes_pc else 1
            case Kind.STORE:  # register offset: a second cycle to read the third register
                return 2 if len(instruction.address_registers) == 2 else 1
            case Kind.FP_LOAD | Kind.FP_STORE:
                return 1 if instruction.transfers == 1 else 3
            case kind if kind in BURSTS:
                return 1 + instruction.transfers
            case Kind.TABLE_BRANCH | Kind.SYSTEM:
                return 2
            case Kind.MULTIPLY if instruction.long_multiply:
                return self.long_multiply_cycles
            case Kind.MULTIPLY if instruction.accumulators:
                return self.accumulate_cycles
            case Kind.DIVIDE:
                return self.divide_cycles
            case Kind.FP_MULTIPLY_ADD:
                return 3
            case Kind.FP_DIVIDE:
                return 14
            case Kind.FP_MOVE:
                return instruction.transfers
            case _:
                return 1


def _second_cycle_can_hide(instruction: Instruction) -> bool:
    """A single load takes two cycles; the second is hidden when the next load or store can be pipelined behind it."""
    return instruction.kind in (Kind.LOAD, Kind.FP_LOAD) and not (
        instruction.kind is Kind.LOAD and instruction.writes_pc
    )


def _stall_cycles(instruction: Instruction, previous: Instruction | None) -> int:
    if previous is None:
        return 0
    stalls = 0
    if (
        instruction.kind in _MEMORY
        and previous.kind in _ADDRESS_PRODUCERS
        and instruction.address_registers & {r for r in previous.writes if r.startswith("r")}
    ):
        stalls += 1  # address generation waits for the result
    if _second_cycle_can_hide(previous) and not _pipelined_behind_load(instruction, previous):
        stalls += 1
    if instruction.kind in _FP_USES and previous.kind in _FP_RESULTS and instruction.reads & previous.writes:
        stalls += 1
    return stalls


def _pipelined_behind_load(instruction: Instruction, load: Instruction) -> bool:
    if instruction.kind is Kind.NOP:
        return True
    if instruction.kind not in _SINGLE_MEMORY or instruction.address_registers & load.writes:
        return False
    return not (load.writeback and instruction.writeback and load.base == instruction.base)


def _is_indirect(branch: Instruction) -> bool:
    if branch.kind is Kind.TABLE_BRANCH or (branch.writes_pc and branch.kind is not Kind.BRANCH):
        return True
    return branch.kind is Kind.BRANCH and branch.name in _INDIRECT_BRANCHES


def cortex_m3() -> CortexM4:
    """Cortex-M3: the same pipeline, a slower multiplier (Cortex-M3 TRM, DDI 0337, table 3-1; SMULL: 3 to 5)."""
    return CortexM4(name="cortex-m3", scale=1.0, accumulate_cycles=2, long_multiply_cycles=4)


def cortex_m33() -> CortexM4:
    """Cortex-M33 by the rules of Cortex-M4: Arm publishes no timing of it, and its limited dual issue is left out."""
    return CortexM4(name="cortex-m33", scale=1.0)
