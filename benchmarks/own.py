"""Measures QuantMCU's firmware: compiled as a user would, run in the emulator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.kinds import kind_of
from quantmcu.device import DeviceSession, Profile
from quantmcu.emulator import Emulator
from quantmcu.emulator.transport import EmulatorTransport
from quantmcu.pipeline import compile_model
from quantmcu.program.program import Program
from quantmcu.program.serialize import load_program
from quantmcu.program.steps import Convolution
from quantmcu.request import CompileRequest
from quantmcu.results import Result
from quantmcu.timed_inputs import random_codes

RUNS = 1  # in the emulator all are alike once the caches are warm


@dataclass(frozen=True)
class Timing:
    """Median cycles of one inference, and of each step."""

    cycles: float
    profile: Profile


def measure(model: Path, board_id: str, toolchain: str, folder: Path, ram: int | None = None) -> dict[str, Any]:
    """Compiles `model` with random calibration data and measures it, without and with the memory model.

    Args:
        model: the ONNX file.
        board_id: of the board.
        toolchain: gcc or zig.
        folder: to write to.
        ram: bytes to compile for; None: the board's.

    Raises:
        QuantMCUError: it can't be compiled for the board.
    """
    out = folder / f"{model.stem}-{board_id}-{toolchain}-{ram}"
    result = compile_model(CompileRequest(model, board_id, "random", out, toolchain=toolchain, ram=ram))
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
        "stack_need_bytes": memory["stack_need_bytes"],
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


def _kinds(program: Program) -> dict[str, str]:
    """Kinds of the convolutions, by name of the step."""
    found = {}
    for step in program.steps:
        if isinstance(step, Convolution):
            channels = program.input_values(step)[0].shape[3]
            pixels = program.output_value(step).shape[1] * program.output_value(step).shape[2]
            found[step.name] = kind_of(step.kernel, channels, pixels, depthwise=step.is_depthwise)
    return found


def _layers(result: Result, core: Profile, waiting: Profile) -> list[dict[str, Any]]:
    known = {step["name"]: step for step in result.data["steps"]}
    kinds = _kinds(load_program(result.folder / "program.npz"))
    rows = []
    for name, times, with_memory in zip(core.names, core.steps, waiting.steps, strict=True):
        step = known.get(name, {})
        rows.append(
            {
                "name": name,
                "operator": step.get("operator"),
                "kind": kinds.get(name, "other"),
                "kernel": step.get("kernel"),
                "shape": step.get("shape"),
                "macs": step.get("macs", 0),
                "cycles": times.median,
                "cycles_with_memory_model": with_memory.median,
            }
        )
    return rows
