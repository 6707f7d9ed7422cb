"""Builds the firmware of a planned network and runs it in the emulator."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from benchmarks.bitwidths.costs import Planned
from quantmcu.build import build_project, write_project
from quantmcu.build.harness import harness_files
from quantmcu.data import Dataset
from quantmcu.device import DeviceSession
from quantmcu.emulator import Emulator
from quantmcu.emulator.transport import EmulatorTransport
from quantmcu.resources import data_folder
from quantmcu.runners import EMULATED_RUN_SECONDS
from quantmcu.validation import quantized_inputs


def emulated_cycles(plan: Planned, samples: Dataset, folder: Path) -> int:
    """Mean cycles of an inference of each sample: those of the core, memory without wait states.

    Args:
        plan: of the network.
        samples: one suffices where the time does not depend on the input.
        folder: to build in; need not exist.

    Raises:
        ToolError: no compiler, or the firmware does not answer.
        QuantMCUError: it does not fit.
    """
    program = plan.planned.candidate.program
    input_bytes = sum(program.values[name].nbytes for name in program.inputs)
    harness = harness_files("quantmcu", program.name, input_bytes)
    write_project(folder, plan.board, plan.emitted.files, name=program.name, harness=harness)
    built = build_project(folder, plan.board, heat=plan.emitted.heat)
    transport = EmulatorTransport(Emulator(built.elf, plan.board))
    session = DeviceSession(transport, "emulator", program.sha256, run_timeout=EMULATED_RUN_SECONDS)
    try:
        inputs = [list(quantized_inputs(program, sample.inputs).values()) for sample in samples]
        return round(float(np.mean([session.run(1, codes).median for codes in inputs])))
    finally:
        session.close()


def firmware_digest(plan: Planned, samples: Dataset) -> str:
    """Of everything that determines the cycles, apart from the emulator itself."""
    digest = hashlib.sha256(f"{plan.board.id} {plan.board.flash_bytes} {samples.description}".encode())
    for path, text in sorted(plan.emitted.files.items()):
        digest.update(path.encode() + b"\0" + (text if isinstance(text, bytes) else text.encode()))
    folder = data_folder("firmware")
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
