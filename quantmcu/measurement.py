"""Measures a compiled network: cycles of the exact firmware, in the emulator or on a board."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import quantmcu
from quantmcu.data import Source
from quantmcu.device import Profile, RunTimes
from quantmcu.errors import ToolError, UsageError
from quantmcu.progress import Progress, SilentProgress
from quantmcu.report import write_report
from quantmcu.results import Result
from quantmcu.runners import open_session
from quantmcu.targets import Board
from quantmcu.timed_inputs import timed_inputs

MEASURED_ON = ("emulator", "device", "qemu")


def measure_result(
    result: Result,
    *,
    on: str = "emulator",
    port: str | None = None,
    runs: int = 10,
    profile: bool = True,
    memory_model: bool = False,
    data: Source | None = None,
    preprocess: str | Path | None = None,
    progress: Progress | None = None,
) -> Result:
    """Times the firmware and adds `latency` and the stack's mark to result.json; draws report.html anew.

    Arguments and errors are those of `quantmcu.measure`, with the result itself in place of its folder. `on` may also
    be "qemu", which can't time, and says so.
    """
    if runs < 1:
        raise UsageError("the number of runs must be at least 1", "--runs", f"got {runs}")
    progress = progress or SilentProgress()
    progress.stage(f"start {on}")
    with open_session(result, on, port, memory_model=memory_model) as session:
        inputs = timed_inputs(result, session.identify().inputs, runs, data, preprocess)
        progress.stage(f"time {runs} runs")
        times = inputs.run(runs, session.run)
        layers: Profile | None = None
        if profile:
            progress.stage(f"time each step in {runs} runs")
            layers = inputs.profile(runs, session.profile)
        marks = session.marks()
        clock_hz, runner = session.identify().clock_hz, session.info.runner
        if session.earlier_fault is not None:
            progress.note(f"the device had recorded a fault before: {session.earlier_fault.describe()}")
    if times.median <= 0:
        why = f"{times.median:g} cycles for one inference"
        raise ToolError("the cycle counter does not count", runner, why, "measure in the emulator or on another board")
    conditions = _conditions(
        result, result.board, runner, clock_hz, inputs.description, estimated=on != "device", memory_model=memory_model
    )
    result.data["latency"] = _latency(result, times, layers, on, clock_hz, conditions)
    result.data["memory"]["stack_used_bytes"] = marks.stack_used if marks.stack_size else None
    result.save()
    write_report(result)
    return result


def _latency(
    result: Result, times: RunTimes, profile: Profile | None, on: str, clock_hz: int, conditions: dict[str, Any]
) -> dict[str, Any]:
    estimated = on != "device"
    # the band is that of estimates without memory effects
    band = None if conditions["memory_effects_modelled"] else conditions["band_percent"]
    cycles = round(times.median)
    milliseconds = cycles / clock_hz * 1e3
    return {
        "source": "emulator" if estimated else "device",
        "conditions": conditions,
        "cycles": cycles,
        "ms": milliseconds,
        # an estimate that is x % off the truth stands for estimate / (1 + x / 100)
        "band_ms": None if band is None else sorted(milliseconds / (1 + percent / 100) for percent in band),
        "runs": len(times.cycles),
        "first_cycles": times.first,
        "min_cycles": times.minimum,
        "median_cycles": cycles,
        "max_cycles": times.maximum,
        "overhead_cycles": times.overhead_cycles,
        "by_layer": [] if profile is None else _by_layer(result, profile),
    }


def _by_layer(result: Result, profile: Profile) -> list[dict[str, Any]]:
    known = {step["name"]: step for step in result.data["steps"]}
    rows = []
    for name, times in zip(profile.names, profile.steps, strict=True):
        step = known.get(name, {"kernel": "?", "macs": 0})
        cycles, bound = round(times.median), step.get("theoretical_cycles")
        rows.append(
            {
                "name": name,
                "kernel": step["kernel"],
                "macs": step["macs"],
                "cycles": cycles,
                "cycles_per_mac": round(cycles / step["macs"], 4) if step["macs"] else None,
                "theoretical_cycles": bound,
                "times_bound": round(cycles / bound, 3) if bound else None,
            }
        )
    return rows


def _conditions(
    result: Result, board: Board, runner: str, clock_hz: int, inputs: str, *, estimated: bool, memory_model: bool
) -> dict[str, Any]:
    model = board.cycle_model if estimated else {}
    if memory_model:
        model = {"model": f"{model['model']} with memory model", "note": f"memory model: {model['memory']['source']}"}
    return {
        "runner": runner,
        "board": board.name,
        "core": board.core,
        "clock_hz": clock_hz,
        "icache_bytes": board.caches.icache_bytes,
        "dcache_bytes": board.caches.dcache_bytes,
        "flash_wait_states": board.clock.get("flash_wait_states"),
        "memory_effects_modelled": memory_model or not estimated,
        "cycle_model": model.get("model"),
        "band_percent": model.get("band_percent"),
        "note": model.get("note", ""),
        "compiler": result.data["compile"]["compiler"],
        "flags": result.data["compile"]["flags"],
        "quantmcu": quantmcu.__version__,
        "commit": source_commit(),
        "input": inputs,
    }


def source_commit() -> str | None:
    """Git commit of QuantMCU's own source, with a `+` when files were changed; None outside a checkout."""
    root = Path(quantmcu.__file__).parents[1]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+" if changed else commit


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()


__all__ = ["MEASURED_ON", "measure_result", "source_commit"]
