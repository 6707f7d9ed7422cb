"""Exceptions as the Cortex-M core takes them: stacking, vector, return.

Source: Armv7-M Architecture Reference Manual (DDI 0403E), sections B1.5.6 (entry), B1.5.8 (return) and B1.5.14
(escalation).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from unicorn import arm_const
from unicorn.unicorn_py3.unicorn import Uc, UcError

from quantmcu.emulator.core import BFAR, MMFAR, CoreRegisters

HARD_FAULT, MEM_MANAGE, BUS_FAULT, USAGE_FAULT, SVCALL = 3, 4, 5, 6, 11

# CFSR
IACCVIOL, DACCVIOL, MSTKERR, MMARVALID = 1 << 0, 1 << 1, 1 << 4, 1 << 7
IBUSERR, PRECISERR, STKERR, BFARVALID = 1 << 8, 1 << 9, 1 << 12, 1 << 15
UNDEFINSTR, INVSTATE, STKOF = 1 << 16, 1 << 17, 1 << 20
# HFSR
FORCED, DEBUGEVT = 1 << 30, 1 << 31

_THUMB = 1 << 24
_FPCA = 1 << 2
_BASIC_FRAME_BYTES = 32
_FP_WORDS = 18  # S0 to S15, FPSCR, reserved
_EXC_RETURN_PREFIX = 0xFFFFFF00
_FRAME_REGISTERS = (
    arm_const.UC_ARM_REG_R0,
    arm_const.UC_ARM_REG_R1,
    arm_const.UC_ARM_REG_R2,
    arm_const.UC_ARM_REG_R3,
    arm_const.UC_ARM_REG_R12,
    arm_const.UC_ARM_REG_LR,
)
_FP_REGISTERS = tuple(arm_const.UC_ARM_REG_S0 + i for i in range(16))


@dataclass(frozen=True)
class Cause:
    """Why an exception is taken: its number, the fault status bits, and the address register to fill in."""

    exception: int
    cfsr: int = 0
    hfsr: int = 0
    address: int | None = None


class Exceptions:
    """Takes exceptions and returns from them on `engine`; `is_ram` tells whether a byte of the stack can be written."""

    def __init__(self, engine: Uc, core: CoreRegisters, is_ram: Callable[[int], bool]) -> None:
        self._engine = engine
        self._core = core
        self._is_ram = is_ram

    def memory_fault(self, address: int, *, fetch: bool) -> Cause:
        """The cause for an access that fails: MemManage where the MPU forbids it, else BusFault."""
        if self._core.forbidden_by_mpu(address):
            if fetch:
                return Cause(MEM_MANAGE, IACCVIOL)
            return Cause(MEM_MANAGE, DACCVIOL | MMARVALID, address=address)
        if fetch:
            return Cause(BUS_FAULT, IBUSERR)
        return Cause(BUS_FAULT, PRECISERR | BFARVALID, address=address)

    def take(self, cause: Cause) -> str | None:
        """Enters the handler. Returns why that is impossible (the core locks up), or None."""
        number = self._escalated(cause)
        if number is None:
            return "a fault inside the fault handler: the core locks up"
        self._core.record(cause.cfsr, cause.hfsr | (FORCED if number != cause.exception else 0))
        if cause.address is not None:
            self._core.record_address(MMFAR if cause.exception == MEM_MANAGE else BFAR, cause.address)
        exc_return = self._push_frame(limited=bool(cause.cfsr & STKOF))
        handler = self._vector(number)
        if handler is None or not handler & 1:
            return f"exception {number} has no handler in the vector table: the core locks up"
        self._set(arm_const.UC_ARM_REG_LR, exc_return)
        self._set(arm_const.UC_ARM_REG_IPSR, number)
        self._set(arm_const.UC_ARM_REG_PC, handler)
        return None

    def is_return(self, address: int) -> bool:
        """Whether a branch to `address` is a return from an exception."""
        return address & _EXC_RETURN_PREFIX == _EXC_RETURN_PREFIX and self._active != 0

    def return_to_thread(self, exc_return: int) -> None:
        """Unstacks the frame and resumes the interrupted code."""
        pointer = self._get(arm_const.UC_ARM_REG_SP)
        words = struct.unpack("<8I", self._engine.mem_read(pointer, _BASIC_FRAME_BYTES))
        size = _BASIC_FRAME_BYTES
        if not exc_return & 0x10:
            saved = struct.unpack(f"<{_FP_WORDS}I", self._engine.mem_read(pointer + size, 4 * _FP_WORDS))
            for register, value in zip(_FP_REGISTERS, saved, strict=False):
                self._set(register, value)
            size += 4 * _FP_WORDS
        for register, value in zip(_FRAME_REGISTERS, words, strict=False):
            self._set(register, value)
        return_address, xpsr = words[6], words[7]
        aligned = 4 if xpsr & 1 << 9 else 0
        self._set(arm_const.UC_ARM_REG_XPSR, xpsr & ~0x1FF & ~(1 << 9) | _THUMB)
        self._set(arm_const.UC_ARM_REG_SP, pointer + size + aligned)
        self._set(arm_const.UC_ARM_REG_PC, return_address | 1)

    @property
    def _active(self) -> int:
        return self._get(arm_const.UC_ARM_REG_IPSR)

    def _escalated(self, cause: Cause) -> int | None:
        """The exception that is really taken; None when none can be."""
        active = self._active
        if active == HARD_FAULT:
            return None
        if cause.exception in (MEM_MANAGE, BUS_FAULT, USAGE_FAULT):
            # Equal priority: a fault in one of their handlers cannot interrupt it.
            blocked = active in (MEM_MANAGE, BUS_FAULT, USAGE_FAULT)
            if blocked or not self._core.handler_enabled(cause.exception):
                return HARD_FAULT
        return cause.exception

    def _push_frame(self, *, limited: bool) -> int:
        """Pushes the frame, sets the status bits when that fails, and returns EXC_RETURN.

        limited: the stack pointer reached its limit (Armv8-M), so that a frame that does not fit is no further fault.
        """
        has_fp = bool(self._get(arm_const.UC_ARM_REG_CONTROL) & _FPCA)
        pointer = self._get(arm_const.UC_ARM_REG_SP)
        xpsr = self._get(arm_const.UC_ARM_REG_XPSR)
        misaligned = pointer & 4
        pointer -= _BASIC_FRAME_BYTES + (4 * _FP_WORDS if has_fp else 0) + misaligned
        return_address = self._get(arm_const.UC_ARM_REG_PC) & ~1
        words = [self._get(r) for r in _FRAME_REGISTERS]
        frame = struct.pack("<8I", *words, return_address, xpsr | (1 << 9 if misaligned else 0))
        if has_fp:
            saved = [self._get(r) for r in _FP_REGISTERS]
            frame += struct.pack(f"<{_FP_WORDS}I", *saved, self._get(arm_const.UC_ARM_REG_FPSCR), 0)
        forbidden = self._core.forbidden_by_mpu(pointer)
        if self._is_ram(pointer) and self._is_ram(pointer + len(frame) - 1) and not forbidden:
            self._engine.mem_write(pointer, frame)
        elif not limited:
            self._core.record(MSTKERR if forbidden else STKERR)
        self._set(arm_const.UC_ARM_REG_SP, pointer)
        # Back to Thread mode, main stack; bit 4 clear: with floating-point registers.
        return 0xFFFFFFE9 if has_fp else 0xFFFFFFF9

    def _vector(self, number: int) -> int | None:
        try:
            return int(struct.unpack("<I", self._engine.mem_read(self._core.vector_table + 4 * number, 4))[0])
        except UcError:
            return None

    def _get(self, register: int) -> int:
        return int(self._engine.reg_read(register))

    def _set(self, register: int, value: int) -> None:
        self._engine.reg_write(register, value)


def undefined_instruction(xpsr: int) -> Cause:
    """The cause for an instruction that cannot be executed: a jump to an even address clears the Thumb bit."""
    return Cause(USAGE_FAULT, UNDEFINSTR if xpsr & _THUMB else INVSTATE)
