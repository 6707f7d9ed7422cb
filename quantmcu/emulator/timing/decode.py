"""Machine code of a basic block -> `Instruction`s, by capstone.

capstone 5.0.9's `regs_access()` leaves out sources of USAT, USAT16, PKHBT, PKHTB and UXTAB, and the lists of VLDM and
VSTM; sources of DSP instructions and multiplications are therefore taken from the operands.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import capstone
from capstone import arm

from quantmcu.emulator.timing.instruction import FLAGS, FP_FLAGS, Block, Instruction, Kind

_DISASSEMBLER = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
_DISASSEMBLER.detail = True

# Names from before the unified syntax that capstone still uses.
_ALIASES = {"fmstat": "vmrs", "fconsts": "vmov", "fconstd": "vmov"}
_NAMED_REGISTERS = {"sb": "r9", "sl": "r10", "fp": "r11", "ip": "r12", "sp": "r13", "lr": "r14", "pc": "r15"}


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MULTIPLY_PREFIXES = ("mul", "mla", "mls", "sml", "smm", "smu", "uml", "umu", "uma")
_EXTENDS = _names("sxtb sxth uxtb uxth sxtb16 uxtb16")
_EXTENDS_AND_ADDS = _names("sxtab sxtah uxtab uxtah sxtab16 uxtab16")
_PACKS = _names("pkhbt pkhtb")
_BIT_FIELDS = _names("bfi bfc ubfx sbfx rev rev16 revsh rbit")
_SATURATES = _names("ssat usat ssat16 usat16")
_PARALLEL = re.compile(r"(s|u|q|uq|sh|uh)(add8|add16|sub8|sub16|asx|sax)|q(add|sub|dadd|dsub)")
_OTHER_DSP = _names("clz sel usad8 usada8")
_SYSTEM = _names("mrs msr cps cpsid cpsie dsb dmb isb svc bkpt wfi wfe udf clrex")
_HINTS = _names("nop yield sev hint pld pldw pli")
_BRANCHES = _names("b bl bx blx cbz cbnz")
_SHIFTS = _names("lsl lsr asr ror")
# Additions, moves and shifts can use the early one of Cortex-M7's two arithmetic stages.
_SIMPLE = _names("add sub mov addw subw movw movt adr") | _SHIFTS
_WIDE_IMMEDIATE = _names("add sub mov addw subw movw movt")
_FULL_IMMEDIATE = _names("movw movt adr") | _SHIFTS


def decode_block(code: bytes, address: int) -> Block:
    """The instructions of the machine code at `address`; decoding stops at bytes that are no instruction."""
    return tuple(_convert(found) for found in _DISASSEMBLER.disasm(code, address))


@cache
def _register(number: int) -> frozenset[str]:
    """capstone's register number -> our names of it; empty for what no model tracks."""
    name = _DISASSEMBLER.reg_name(number) or ""
    name = _NAMED_REGISTERS.get(name, name)
    if re.fullmatch(r"[rs]\d+", name):
        return frozenset({name})
    if re.fullmatch(r"d\d+", name):
        low = 2 * int(name[1:])
        return frozenset({f"s{low}", f"s{low + 1}"})
    if name.startswith(("apsr", "cpsr")):
        return frozenset({FLAGS})
    if name.startswith("fpscr"):
        return frozenset({FP_FLAGS})
    return frozenset()


def _registers(operands: list[Any]) -> frozenset[str]:
    return frozenset().union(*(_register(o.reg) for o in operands if o.type == arm.ARM_OP_REG))


def _integer_kind(name: str) -> Kind:
    if name in _HINTS:
        return Kind.NOP
    if name.startswith(("ldm", "pop")) or name == "ldrd":
        return Kind.LOAD_MULTIPLE
    if name.startswith(("stm", "push")) or name == "strd":
        return Kind.STORE_MULTIPLE
    if name.startswith("ldr"):
        return Kind.LOAD
    if name.startswith("str"):
        return Kind.STORE
    if name in ("tbb", "tbh"):
        return Kind.TABLE_BRANCH
    if name in _BRANCHES:
        return Kind.BRANCH
    if name in ("sdiv", "udiv"):
        return Kind.DIVIDE
    if name.startswith(_MULTIPLY_PREFIXES):
        return Kind.MULTIPLY
    if name in _EXTENDS | _EXTENDS_AND_ADDS | _PACKS | _BIT_FIELDS | _SATURATES | _OTHER_DSP:
        return Kind.DSP
    if _PARALLEL.fullmatch(name):
        return Kind.DSP
    if name in _SYSTEM:
        return Kind.SYSTEM
    return Kind.ALU


def _floating_point_kind(name: str) -> Kind:
    for prefixes, kind in (
        (("vldr",), Kind.FP_LOAD),
        (("vstr",), Kind.FP_STORE),
        (("vldm", "vpop"), Kind.FP_LOAD_MULTIPLE),
        (("vstm", "vpush"), Kind.FP_STORE_MULTIPLE),
        (("vfma", "vfms", "vfnm", "vmla", "vmls", "vnml"), Kind.FP_MULTIPLY_ADD),
        (("vdiv", "vsqrt"), Kind.FP_DIVIDE),
        (("vmov", "vmrs", "vmsr"), Kind.FP_MOVE),
    ):
        if name.startswith(prefixes):
            return kind
    return Kind.FP_ALU


def _kind(found: Any, name: str) -> Kind:
    if found.id == arm.ARM_INS_IT:
        return Kind.IF_THEN
    return _floating_point_kind(name) if name.startswith("v") else _integer_kind(name)


def _fp_list(operands: list[Any]) -> frozenset[str]:
    """The floating-point registers of VLDM, VSTM, VPUSH or VPOP."""
    return frozenset(r for r in _registers(operands) if r.startswith("s"))


def _transfers(kind: Kind, name: str, operands: list[Any]) -> int:
    """Words moved, or 1 where that does not matter."""
    if kind in (Kind.FP_LOAD, Kind.FP_STORE):
        return len(_register(operands[0].reg))
    if kind in (Kind.FP_LOAD_MULTIPLE, Kind.FP_STORE_MULTIPLE):
        return len(_fp_list(operands))
    if kind is Kind.FP_MOVE:
        return max(1, sum(1 for o in operands if o.type == arm.ARM_OP_REG) // 2)
    if kind in (Kind.LOAD_MULTIPLE, Kind.STORE_MULTIPLE):
        if name in ("ldrd", "strd"):
            return 2
        return len(operands) - (0 if name in ("push", "pop") else 1)
    return 1


def _accumulators(kind: Kind, name: str, operands: list[Any]) -> frozenset[str]:
    if kind is Kind.FP_MULTIPLY_ADD:
        return _registers(operands[:1])
    if kind is not Kind.MULTIPLY:
        return frozenset()
    if name.startswith(("smlal", "smlsld", "umlal", "umaal")) and name not in ("smlalt",):
        return _registers(operands[:2])
    if name.startswith(("mla", "mls", "sml", "smmla", "smmls")):
        return _registers(operands[-1:])
    return frozenset()


def _constant_is_shifted(name: str, operands: list[Any]) -> bool:
    """Whether the last operand is a constant that the shifter makes (T32's modified immediates)."""
    if not operands or operands[-1].type != arm.ARM_OP_IMM or name in _FULL_IMMEDIATE:
        return False
    value = int(operands[-1].imm) & 0xFFFFFFFF
    if value < (65536 if name in _WIDE_IMMEDIATE else 256):
        return False
    return bool((value & 0xFFFF) != value >> 16)  # repeated bytes need no shift


def _dsp_early_reads(name: str, operands: list[Any]) -> frozenset[str]:
    if name in _BIT_FIELDS - {"bfi", "bfc"} or name in ("ssat", "usat"):
        return _registers(operands[1:])
    if name == "bfi":
        return _registers(operands[1:2])
    if name in _EXTENDS_AND_ADDS | _PACKS:
        return _registers(operands[2:3])
    return frozenset()


def _convert(found: Any) -> Instruction:
    operands = found.operands
    name = _ALIASES.get(found.insn_name(), found.insn_name())
    kind = _kind(found, name)
    read_numbers, written_numbers = found.regs_access()
    reads = frozenset().union(*map(_register, read_numbers))
    writes = frozenset().union(*map(_register, written_numbers))

    accumulators = _accumulators(kind, name, operands)
    reads |= accumulators
    if kind is Kind.DSP or (kind is Kind.MULTIPLY and not accumulators):
        reads |= _registers(operands[1:]) - (writes if kind is Kind.MULTIPLY else frozenset())

    if kind is Kind.FP_LOAD_MULTIPLE:
        writes |= _fp_list(operands)
    elif kind is Kind.FP_STORE_MULTIPLE:
        reads, writes = reads | _fp_list(operands), writes - _fp_list(operands)

    memory = next((o.mem for o in operands if o.type == arm.ARM_OP_MEM), None)
    base = next(iter(_register(memory.base)), None) if memory else None
    address_registers = _register(memory.base) | _register(memory.index) if memory else frozenset()

    shifted_operands = [o for o in operands if o.type == arm.ARM_OP_REG and o.shift.type != 0]
    shifted = bool(shifted_operands)
    early_reads = _registers(shifted_operands)
    simple = False
    if kind is Kind.ALU:
        simple = name in _SIMPLE and not shifted
        shifted = shifted or _constant_is_shifted(name, operands)
    elif kind is Kind.DSP:
        early_reads |= _dsp_early_reads(name, operands)
        shifted = name in _BIT_FIELDS | _EXTENDS_AND_ADDS | _PACKS | _SATURATES

    conditional = found.cc not in (arm.ARM_CC_AL, arm.ARM_CC_INVALID) and kind is not Kind.IF_THEN
    if conditional:
        reads |= {FLAGS}
        if kind is not Kind.BRANCH:
            reads |= writes - {FLAGS}  # a skipped instruction leaves its destination as it was

    writes_pc = "r15" in writes and kind in (Kind.LOAD, Kind.LOAD_MULTIPLE, Kind.ALU)
    return Instruction(
        address=found.address,
        size=found.size,
        name=name,
        kind=Kind.BRANCH if writes_pc and kind is Kind.ALU else kind,
        reads=reads,
        writes=writes,
        address_registers=address_registers,
        accumulators=accumulators,
        early_reads=early_reads,
        transfers=_transfers(kind, name, operands),
        access_bytes=1 if "b" in name[3:] else 2 if "h" in name[3:] else 4,
        base=base,
        offset=memory.disp if memory else None,
        writeback=bool(found.writeback),
        shifted=shifted,
        simple=simple,
        double=".f64" in found.mnemonic,
        conditional=conditional,
        writes_pc=writes_pc,
    )
