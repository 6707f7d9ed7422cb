"""Unicorn engines of Cortex-M cores."""

from __future__ import annotations

import ctypes

import unicorn
from unicorn import arm_const
from unicorn.unicorn_py3.unicorn import Uc, uclib

from quantmcu.emulator import hook
from quantmcu.errors import ToolError, UsageError

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


def unicorn_function(name: str) -> int:
    """Address of a function of the Unicorn library."""
    return ctypes.cast(getattr(uclib, name), ctypes.c_void_p).value or 0


def add_native_hook(
    engine: Uc, kind: int, callback: str, state: ctypes.Structure, begin: int = 1, end: int = 0
) -> None:
    """Installs a callback of `hook.c` for addresses begin to end (inclusive; begin > end: everywhere).

    Raises:
        ToolError: Unicorn refuses.
    """
    handle = ctypes.c_size_t()
    address = hook.callback_addresses()[callback]
    status = uclib.uc_hook_add(
        engine._uch,
        ctypes.byref(handle),
        ctypes.c_int(kind),
        ctypes.c_void_p(address),
        ctypes.byref(state),
        ctypes.c_uint64(begin),
        ctypes.c_uint64(end),
    )
    if status != unicorn.UC_ERR_OK:
        raise ToolError(f"Unicorn does not accept the hook {callback}", why=f"uc_hook_add returned {status}")
