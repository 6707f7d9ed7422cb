"""The record that a device keeps of its last fault, and what it means.

Bits of CFSR and HFSR: Armv7-M Architecture Reference Manual (DDI 0403), B3.2.15 and B3.2.16.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from quantmcu.device.protocol import PayloadReader

CAUSES = {2: "NMI", 3: "HardFault", 4: "MemManage", 5: "BusFault", 6: "UsageFault", 7: "SecureFault"}

CFSR_BITS = {
    0: "instruction fetch from a region that may not be executed",
    1: "data access that the memory protection forbids",
    3: "memory protection violated while returning from an exception",
    4: "memory protection violated while entering an exception: stack overflow?",
    5: "memory protection violated while saving FPU registers",
    8: "instruction fetch from an address where there is nothing",
    9: "data access to an address where there is nothing",
    10: "late (imprecise) error of an earlier store: the pc is shortly after it",
    11: "bus error while returning from an exception",
    12: "bus error while entering an exception: stack overflow?",
    13: "bus error while saving FPU registers",
    16: "undefined instruction",
    17: "jump to an even address (no Thumb code)",
    18: "damaged return from an exception",
    19: "coprocessor or FPU instruction while it is off",
    20: "stack overflow, found by the stack limit",
    24: "unaligned access",
    25: "division by zero",
}
HFSR_VECTOR_TABLE = 1


@dataclass(frozen=True)
class FaultRecord:
    """Registers at the last fault; `address` is 0 where the core did not record one."""

    cause: int
    pc: int
    lr: int
    sp: int
    cfsr: int
    hfsr: int
    address: int

    @classmethod
    def parse(cls, payload: bytes) -> FaultRecord | None:
        """From the answer to READ_FAULT; None when no fault is recorded."""
        reader = PayloadReader(payload)
        valid = reader.one("B")
        record = cls(*reader.take("7I"))
        reader.end()
        return record if valid else None

    @property
    def cause_name(self) -> str:
        """Name of the exception."""
        return CAUSES.get(self.cause, f"exception {self.cause}")

    @property
    def reasons(self) -> list[str]:
        """What the fault status registers say, in words."""
        reasons = [text for bit, text in CFSR_BITS.items() if self.cfsr >> bit & 1]
        if self.hfsr >> HFSR_VECTOR_TABLE & 1:
            reasons.append("the vector table could not be read")
        return reasons

    def describe(self) -> str:
        """One line: cause, reasons, address, pc and the other registers."""
        text = self.cause_name
        if self.reasons:
            text += f" ({'; '.join(self.reasons)})"
        if self.address or self.cfsr & (1 << 7 | 1 << 15):
            text += f" at address 0x{self.address:08x}"
        _, pc, lr, sp, cfsr, hfsr, _ = astuple(self)
        return f"{text}, pc 0x{pc:08x}, lr 0x{lr:08x}, sp 0x{sp:08x}, CFSR 0x{cfsr:08x}, HFSR 0x{hfsr:08x}"
