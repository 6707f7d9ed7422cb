"""Cycle models: what each basic block costs on a core, without a board.

`cycle_model(core)` gives the model of a core; `decode_block` decodes machine code for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from quantmcu.emulator.timing.cortex_m0plus import CortexM0Plus
from quantmcu.emulator.timing.cortex_m4 import CortexM4, cortex_m3, cortex_m33
from quantmcu.emulator.timing.cortex_m7 import CortexM7
from quantmcu.emulator.timing.decode import decode_block
from quantmcu.emulator.timing.instruction import FLOATING_POINT, Block, Instruction, Kind
from quantmcu.emulator.timing.model import CycleModel
from quantmcu.errors import UsageError

__all__ = [
    "FLOATING_POINT",
    "Block",
    "CortexM0Plus",
    "CortexM4",
    "CortexM7",
    "CycleModel",
    "Instruction",
    "Kind",
    "cycle_model",
    "decode_block",
]

_MODELS: dict[str, Callable[[], CycleModel]] = {
    "cortex-m0plus": CortexM0Plus,
    "cortex-m3": cortex_m3,
    "cortex-m4": CortexM4,
    "cortex-m7": CortexM7,
    "cortex-m33": cortex_m33,
}


def cycle_model(core: str, **parameters: Any) -> CycleModel:
    """A new cycle model of `core`; `parameters` replace attributes of the model, e.g. long_multiply_cycles=2.

    Raises:
        UsageError: there is no model of this core, or it has no such parameter.
    """
    if core not in _MODELS:
        raise UsageError(
            f"there is no cycle model of {core}",
            why=f"models: {', '.join(_MODELS)}",
            hint="run it without one (cycle_model=None), which counts instructions",
        )
    model = _MODELS[core]()
    known = {field.name for field in fields(model)} - {"name"}
    if unknown := set(parameters) - known:
        raise UsageError(
            f"the cycle model of {core} has no parameter {', '.join(sorted(unknown))}",
            why=f"parameters: {', '.join(sorted(known))}",
        )
    return replace(model, **parameters)
