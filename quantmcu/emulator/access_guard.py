"""Watches every data access: outside of allowed bytes, or not aligned to its size (to 4 bytes for longer ones)."""

from __future__ import annotations

from typing import Any

import numpy as np
import unicorn
from numpy.typing import NDArray
from unicorn import arm_const
from unicorn.unicorn_py3.unicorn import Uc

from quantmcu.emulator import hook
from quantmcu.emulator.elf import Elf
from quantmcu.emulator.engine import add_native_hook, unicorn_function
from quantmcu.emulator.faults import ACCESS_NAMES, Fault

_NOTHING: NDArray[np.uint8] = np.zeros(0, np.uint8)


class AccessGuard:
    """Stops the engine at the first access that is not allowed.

    Args:
        engine: to watch.
        allowed: one byte for each byte of memory from `base` on: 1 where access is allowed. What lies outside of it is.
        base: address of the first of these.
        aligned: unaligned accesses are not allowed; otherwise they are only counted.
    """

    def __init__(
        self, engine: Uc, allowed: NDArray[np.uint8] = _NOTHING, base: int = 0, *, aligned: bool = False
    ) -> None:
        self._engine = engine
        self._allowed = allowed  # the hook reads it
        self._state = hook.AccessGuardState(
            allowed=allowed.ctypes.data,
            stop=unicorn_function("uc_emu_stop"),
            read_register=unicorn_function("uc_reg_read"),
            write_register=unicorn_function("uc_reg_write"),
            base=base,
            size=allowed.size,
            unaligned_is_error=int(aligned),
            pc_id=arm_const.UC_ARM_REG_PC,
            epsr_id=arm_const.UC_ARM_REG_EPSR,
        )
        kinds = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
        add_native_hook(engine, kinds, "check_access", self._state)

    def only_during(self, address: int) -> None:
        """Forbids unaligned accesses only while the function at `address` runs, and what it calls."""
        self._state.unaligned_is_error = 0
        returns: set[int] = set()

        def leave(*_: object) -> None:
            self._state.unaligned_is_error = 0

        def enter(engine: Uc, *_: object) -> None:
            self._state.unaligned_is_error = 1
            after = int(engine.reg_read(arm_const.UC_ARM_REG_LR)) & ~1
            if after not in returns:
                returns.add(after)
                engine.hook_add(unicorn.UC_HOOK_CODE, leave, begin=after, end=after)

        self._engine.hook_add(unicorn.UC_HOOK_CODE, enter, begin=address, end=address)

    @property
    def unaligned(self) -> int:
        """Unaligned accesses since `restart`."""
        return int(self._state.unaligned)

    def restart(self) -> None:
        """Forgets what was seen."""
        self._state.violation, self._state.unaligned = hook.VIOLATION_NONE, 0

    def fault(self, elf: Elf) -> Fault | None:
        """The access that stopped the engine."""
        state: Any = self._state
        if state.violation == hook.VIOLATION_NONE:
            return None
        how = "outside any buffer" if state.violation == hook.VIOLATION_OUTSIDE else "unaligned"
        what = f"{ACCESS_NAMES.get(state.access_type, 'access')} of {state.access_size} bytes {how}"
        return Fault(what, state.address, state.pc, elf.describe(state.pc))
