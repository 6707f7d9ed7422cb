"""The registers of the Cortex-M core itself: faults, reset, memory protection, cycle counter.

Source: Armv7-M Architecture Reference Manual (DDI 0403E), chapters B3 and C1. Registers that a core lacks (Armv6-M has
no fault status and no trace unit) are not taken away from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from quantmcu.emulator.registers import RegisterFile

DWT_CTRL, DWT_CYCCNT, DWT_LAR = 0xE0001000, 0xE0001004, 0xE0001FB0
CPUID, VTOR, AIRCR, CCR, SHCSR = 0xE000ED00, 0xE000ED08, 0xE000ED0C, 0xE000ED14, 0xE000ED24
CFSR, HFSR, MMFAR, BFAR, CPACR = 0xE000ED28, 0xE000ED2C, 0xE000ED34, 0xE000ED38, 0xE000ED88
MPU_TYPE, MPU_CTRL, MPU_RNR, MPU_RBAR, MPU_RASR = 0xE000ED90, 0xE000ED94, 0xE000ED98, 0xE000ED9C, 0xE000EDA0
DEMCR = 0xE000EDFC
SYST_CSR, SYST_RVR, SYST_CVR = 0xE000E010, 0xE000E014, 0xE000E018

_CPUIDS = {
    "cortex-m0plus": 0x410CC601,
    "cortex-m3": 0x412FC231,
    "cortex-m4": 0x410FC241,
    "cortex-m7": 0x411FC272,
    "cortex-m33": 0x410FD213,
}
_MPU_REGIONS = 8
_LAR_KEY = 0xC5ACCE55
_AIRCR_KEY = 0x05FA
_AIRCR_READ_KEY = 0xFA05
_SYSRESETREQ = 1 << 2
_TRCENA = 1 << 24
_CYCCNTENA = 1
_STKALIGN = 1 << 9


@dataclass(frozen=True)
class ProtectedRegion:
    """A region of the memory protection unit that forbids every access."""

    origin: int
    size: int


class CoreRegisters:
    """Gives the core's registers in `registers` their behaviour.

    Args:
        registers: where they are defined.
        core: `cortex-m4`, ...
        vector_table: address of the vector table after reset.
        cycles: the cycles executed so far.
        request_reset: called when the firmware asks for a reset.
    """

    def __init__(
        self,
        registers: RegisterFile,
        core: str,
        vector_table: int,
        cycles: Callable[[], int],
        request_reset: Callable[[], None],
    ) -> None:
        self._registers = registers
        self._core = core
        self._vector_table = vector_table
        self._cycles = cycles
        self._request_reset = request_reset
        registers.define(CPUID, read=lambda: _CPUIDS.get(core, 0))
        registers.define(MPU_TYPE, read=lambda: _MPU_REGIONS << 8)
        registers.define(AIRCR, read=lambda: _AIRCR_READ_KEY << 16, write=self._write_aircr)
        registers.define(DWT_LAR, write=self._write_lar)
        registers.define(DWT_CTRL, read=lambda: self._dwt_ctrl, write=self._write_dwt_ctrl)
        registers.define(DWT_CYCCNT, read=self._read_cyccnt, write=self._write_cyccnt)
        registers.define(DEMCR, write=lambda value: self._enable_counter())
        registers.define(MPU_RASR, write=self._write_rasr)
        registers.define(SYST_CSR, write=self._write_syst_csr)
        registers.define(SYST_CVR, read=self._read_syst_cvr, write=self._write_syst_cvr)
        for status in (CFSR, HFSR):
            registers.define(status, read=self._reader(status), write=self._clearer(status))
        self.reset()

    def reset(self) -> None:
        """State after a reset of the chip."""
        self._registers.set_value(VTOR, self._vector_table)
        self._registers.set_value(CCR, _STKALIGN)
        for address in (SHCSR, MMFAR, BFAR, CPACR, MPU_CTRL, DEMCR):
            self._registers.set_value(address, 0)
        self._status = {CFSR: 0, HFSR: 0}
        self._mpu: dict[int, ProtectedRegion] = {}
        # Only Cortex-M7 locks its trace unit against software.
        self._dwt_locked = self._core == "cortex-m7"
        self._dwt_ctrl = 0
        self._counting = False
        self._frozen = 0  # CYCCNT while it does not count
        self._zero = 0  # cycles at which CYCCNT was 0, while it counts
        self._syst_start: int | None = None  # cycles at which the system timer was 0, while it counts

    @property
    def vector_table(self) -> int:
        """Address of the vector table."""
        return self._registers.value(VTOR)

    @property
    def fpu_enabled(self) -> bool:
        """Whether CPACR gives full access to coprocessors 10 and 11."""
        return self._registers.value(CPACR) >> 20 & 0xF == 0xF

    def handler_enabled(self, exception: int) -> bool:
        """Whether MemManage (4), BusFault (5) or UsageFault (6) has a handler of its own."""
        return bool(self._registers.value(SHCSR) >> (exception + 12) & 1)

    def forbidden_by_mpu(self, address: int) -> bool:
        """Whether the memory protection unit forbids every access to `address`."""
        enabled = self._registers.value(MPU_CTRL) & 1
        return bool(enabled) and any(r.origin <= address < r.origin + r.size for r in self._mpu.values())

    def record(self, cfsr: int = 0, hfsr: int = 0) -> None:
        """Sets bits of the fault status registers."""
        self._status[CFSR] |= cfsr
        self._status[HFSR] |= hfsr

    def record_address(self, register: int, address: int) -> None:
        """Sets MMFAR or BFAR."""
        self._registers.set_value(register, address)

    def _reader(self, status: int) -> Callable[[], int]:
        return lambda: self._status[status]

    def _clearer(self, status: int) -> Callable[[int], None]:
        def clear(value: int) -> None:
            self._status[status] &= ~value  # write 1 to clear

        return clear

    def _write_aircr(self, value: int) -> None:
        if value >> 16 == _AIRCR_KEY and value & _SYSRESETREQ:
            self._request_reset()

    def _write_rasr(self, value: int) -> None:
        number = self._registers.value(MPU_RNR)
        size = 2 << (value >> 1 & 0x1F)
        forbids = value & 1 and value >> 24 & 7 == 0
        self._mpu.pop(number, None)
        if forbids:
            self._mpu[number] = ProtectedRegion(self._registers.value(MPU_RBAR) & ~(size - 1) & 0xFFFFFFFF, size)

    def _write_lar(self, value: int) -> None:
        self._dwt_locked = self._dwt_locked and value != _LAR_KEY

    def _write_dwt_ctrl(self, value: int) -> None:
        if not self._dwt_locked:
            self._dwt_ctrl = value
            self._enable_counter()

    def _enable_counter(self) -> None:
        counting = bool(self._registers.value(DEMCR) & _TRCENA and self._dwt_ctrl & _CYCCNTENA)
        if counting and not self._counting:
            self._zero = self._cycles() - self._frozen
        elif self._counting and not counting:
            self._frozen = self._cycles() - self._zero
        self._counting = counting

    def _read_cyccnt(self) -> int:
        return (self._cycles() - self._zero if self._counting else self._frozen) & 0xFFFFFFFF

    def _write_cyccnt(self, value: int) -> None:
        if not self._dwt_locked:
            self._frozen = value
            self._zero = self._cycles() - value

    def _write_syst_csr(self, value: int) -> None:
        if not value & 1:
            self._syst_start = None
        elif self._syst_start is None:
            self._syst_start = self._cycles()

    def _write_syst_cvr(self, _: int) -> None:
        """Any write clears the timer (DDI 0403E, B3.3.5)."""
        if self._syst_start is not None:
            self._syst_start = self._cycles()

    def _read_syst_cvr(self) -> int:
        if self._syst_start is None:
            return 0
        period = (self._registers.value(SYST_RVR) & 0xFFFFFF) + 1
        return -(self._cycles() - self._syst_start) % period
