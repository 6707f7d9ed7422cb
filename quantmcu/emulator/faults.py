"""What can go wrong while code runs in the emulator."""

from __future__ import annotations

from dataclasses import dataclass

import unicorn

from quantmcu.errors import ToolError

ACCESS_NAMES = {
    unicorn.UC_MEM_READ: "read",
    unicorn.UC_MEM_WRITE: "write",
    unicorn.UC_MEM_READ_UNMAPPED: "read from unmapped memory",
    unicorn.UC_MEM_WRITE_UNMAPPED: "write to unmapped memory",
    unicorn.UC_MEM_FETCH_UNMAPPED: "execution of unmapped memory",
    unicorn.UC_MEM_WRITE_PROT: "write to read-only memory",
    unicorn.UC_MEM_READ_PROT: "read from protected memory",
    unicorn.UC_MEM_FETCH_PROT: "execution of memory that holds no code",
}


@dataclass(frozen=True)
class Fault:
    """One fault: what was done, at which data address (None: none), by the instruction at `pc`, in `function`."""

    what: str
    address: int | None
    pc: int
    function: str

    def __str__(self) -> str:
        target = "" if self.address is None else f" at 0x{self.address:08x}"
        return f"{self.what}{target}, by the instruction at {self.function}"


class EmulatedFaultError(ToolError):
    """Emulated code did what the chip would answer with a fault, or what the caller forbade.

    Attributes:
        fault: the details.
    """

    def __init__(self, fault: Fault, where: str = "", hint: str = "") -> None:
        super().__init__(f"the emulated code faulted: {fault}", where=where, hint=hint)
        self.fault = fault


class EmulationLimitError(ToolError):
    """The emulated code did not finish within the instructions that the caller allowed."""

    def __init__(self, limit: int, function: str, where: str = "") -> None:
        super().__init__(
            f"the emulated code has not finished after {limit:,} instructions",
            where=where,
            why=f"it was last at {function}",
            hint="allow more instructions, or look for an endless loop there",
        )
