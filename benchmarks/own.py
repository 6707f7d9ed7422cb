"""Measures QuantMCU's firmware: compiled as a user would, run in the emulator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantmcu.device import DeviceSession, Profile
from quantmcu.emulator import Emulator
from quantmcu.emulator.transport import EmulatorTransport
from quantmcu.pipeline import CompileRequest, compile_model
from quantmcu.results import Result
from quantmcu.timed_inputs import random_codes

RUNS = 3


@dataclass(frozen=True)
class Timing:
    """Median cycles of one inference, and of each step."""

    cycles: float
    profile: Profile


def measure(model: Path, board_id: str, toolchain: str, folder: Path) -> dict[str, Any]:
    """Compiles `model` with random calibration data and measures it, without and with the memory model.

    Raises:
        QuantMCUError: it can't be compiled for the board.
    """
    out = folder / f"{model.stem}-{board_id}-{toolchain}"
    result = compile_model(CompileRequest(model, board_id, "random", out, toolchain=toolchain))
    core, waiting = _time(result, memory=False), _time(result, memory=True)
    memory, compiled = result.data["memory"], result.data["compile"]
    return {
        "board": board_id,
        "core": result.board.core,
        "compiler": compiled["compiler"],
        "flags": compiled["flags"],
        "compile_seconds": compiled["seconds"],
        "cycles": core.cycles,
        "cycles_with_memory_model": waiting.cycles,
        "arena_bytes": memory["arena_bytes"],
        "ram_bytes": memory["ram_total_bytes"],
        "flash_bytes": memory["flash_total_bytes"],
        "network_code_bytes": memory["network_code_bytes"],
        "macs": sum(step["macs"] for step in result.data["steps"]),
        "layers": _layers(result, core.profile, waiting.profile),
    }


def _time(result: Result, *, memory: bool) -> Timing:
    emulator = Emulator(result.elf, result.board, memory_model="board" if memory else None)
    session = DeviceSession(EmulatorTransport(emulator), "emulator", result.program_sha256, run_timeout=900)
    try:
        inputs = [random_codes(tensor) for tensor in session.identify().inputs]
        return Timing(session.run(RUNS, inputs).median, session.profile(RUNS, inputs))
    finally:
        session.close()


def _layers(result: Result, core: Profile, waiting: Profile) -> list[dict[str, Any]]:
    known = {step["name"]: step for step in result.data["steps"]}
    rows = []
    for name, times, with_memory in zip(core.names, core.steps, waiting.steps, strict=True):
        step = known.get(name, {})
        rows.append(
            {
                "name": name,
                "operator": step.get("operator"),
                "kernel": step.get("kernel"),
                "shape": step.get("shape"),
                "macs": step.get("macs", 0),
                "cycles": times.median,
                "cycles_with_memory_model": with_memory.median,
            }
        )
    return rows
