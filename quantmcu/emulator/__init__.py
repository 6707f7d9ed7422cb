"""Runs firmware without a board: emulator, cycle models, QEMU; and single functions of an ELF file."""

from __future__ import annotations

from quantmcu.emulator.emulator import Emulator, StopReason
from quantmcu.emulator.faults import EmulatedFaultError, EmulationLimitError, Fault
from quantmcu.emulator.function import CallResult, FunctionMachine
from quantmcu.emulator.objects import compile_for_core
from quantmcu.emulator.profile import FunctionProfile
from quantmcu.emulator.wait_states import Cache, MemoryModel, SlowMemory, memory_model

__all__ = [
    "Cache",
    "CallResult",
    "EmulatedFaultError",
    "EmulationLimitError",
    "Emulator",
    "Fault",
    "FunctionMachine",
    "FunctionProfile",
    "MemoryModel",
    "SlowMemory",
    "StopReason",
    "compile_for_core",
    "memory_model",
]
