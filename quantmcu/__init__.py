"""QuantMCU: ONNX in, microcontroller firmware out, with measured latency back.

The functions below are the commands of the command line:

    import quantmcu

    result = quantmcu.compile("model.onnx", "nucleo-f767", calibration="photos/", preprocess="imagenet")
    quantmcu.measure(result)                     # runs firmware.elf in the emulator
    print(result.latency.milliseconds)

They are loaded on first use, so that `import quantmcu` is quick and `quantmcu doctor` works where a package is missing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from quantmcu.api import (
        boards,
        compile,
        demo,
        doctor,
        explore,
        flash,
        inspect,
        load,
        measure,
        ops,
        plan,
        validate,
    )
    from quantmcu.errors import QuantMCUError, ToolError, UsageError
    from quantmcu.results import Result

_PLACES = {
    **dict.fromkeys(
        ("boards", "compile", "demo", "doctor", "explore", "flash", "inspect", "load", "measure", "ops", "plan"),
        "quantmcu.api",
    ),
    "validate": "quantmcu.api",
    **dict.fromkeys(("QuantMCUError", "ToolError", "UsageError"), "quantmcu.errors"),
    "Result": "quantmcu.results",
}

__all__ = [
    "QuantMCUError",
    "Result",
    "ToolError",
    "UsageError",
    "__version__",
    "boards",
    "compile",
    "demo",
    "doctor",
    "explore",
    "flash",
    "inspect",
    "load",
    "measure",
    "ops",
    "plan",
    "validate",
]


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'quantmcu' has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
