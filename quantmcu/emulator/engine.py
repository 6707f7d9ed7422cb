"""Unicorn engines of Cortex-M cores."""

from __future__ import annotations

import unicorn
from unicorn import arm_const
from unicorn.unicorn_py3.unicorn import Uc

from quantmcu.errors import UsageError

_CPUS = {
    "cortex-m0plus": arm_const.UC_CPU_ARM_CORTEX_M0,  # the same instructions
    "cortex-m3": arm_const.UC_CPU_ARM_CORTEX_M3,
    "cortex-m4": arm_const.UC_CPU_ARM_CORTEX_M4,
    "cortex-m7": arm_const.UC_CPU_ARM_CORTEX_M7,
    "cortex-m33": arm_const.UC_CPU_ARM_CORTEX_M33,
}
_PAGE = 4096


def create_engine(core: str) -> Uc:
    """An engine of `core` without memory.

    Raises:
        UsageError: Unicorn has no such core.
    """
    if core not in _CPUS:
        raise UsageError(f"the emulator has no core {core}", why=f"cores: {', '.join(_CPUS)}")
    # UC_MODE_MCLASS would silently select a Cortex-M33.
    return Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB, _CPUS[core])


def map_memory(engine: Uc, origin: int, size: int, *, writable: bool) -> None:
    """Maps memory that can be read and executed, and written if `writable`; rounded up to whole pages of 4 KiB."""
    rights = unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC | (unicorn.UC_PROT_WRITE if writable else 0)
    engine.mem_map(origin, -(-size // _PAGE) * _PAGE, rights)
