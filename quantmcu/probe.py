"""Measures on a board what is not known of its core: how long a multiplication with a 64-bit result takes.

The probe is an ordinary firmware, of a network with one layer of SMLAD and one of SMLAL (packed multiplication). The
ratio of their times is compared with those that the emulator predicts for the very same file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from quantmcu.build.firmware import flash_project
from quantmcu.device import DeviceSession
from quantmcu.emulator import Emulator
from quantmcu.emulator.timing import cycle_model
from quantmcu.emulator.transport import EmulatorTransport
from quantmcu.errors import ToolError, UsageError
from quantmcu.pipeline import compile_model
from quantmcu.progress import Progress, SilentProgress
from quantmcu.request import CompileRequest
from quantmcu.results import Result
from quantmcu.runners import EMULATED_RUN_SECONDS, open_session
from quantmcu.targets import Board
from quantmcu.timed_inputs import random_codes

CANDIDATES = (1, 2)
_PARAMETER = "long_multiply_cycles"
_RUNS = 5
_TOLERANCE = 1.25  # what memory and the model's error may do to a ratio
_CHANNELS, _SIZE = 64, 12


@dataclass(frozen=True)
class ProbeResult:
    """What came out.

    Attributes:
        cycles: of a long multiplication.
        ratio: of the layer of SMLAL to that of SMLAD, as measured.
        expected: the same, as the emulator predicts it, by the cycles of a long multiplication.
        runner: where it was measured.
    """

    cycles: int
    ratio: float
    expected: Mapping[int, float]
    runner: str


def probe_board(
    board: Board,
    folder: Path,
    *,
    on: str = "device",
    port: str | None = None,
    toolchain: str = "auto",
    progress: Progress | None = None,
) -> ProbeResult:
    """Builds the probe for `board` in `folder`, flashes it, and measures.

    Args:
        on: "device", or "emulator", which finds what the board's manifest says.
        port: serial port of the board.

    Raises:
        UsageError: the core has no such multiplication, or none whose time is in question.
        ToolError: no compiler, no board, or a ratio that none of `CANDIDATES` explains.
    """
    progress = progress or SilentProgress()
    if board.cycle_model.get("model") != "cortex-m7":
        raise UsageError(
            f"there is nothing to probe on {board.id}",
            "--board",
            f"only Cortex-M7's timing of SMLAL is open, this is {board.core}",
        )
    result = compile_probe(board, folder, toolchain, progress)
    progress.stage("predict")
    expected = {count: _predicted(result, board, count) for count in CANDIDATES}
    if on == "device":
        flash_project(result.folder, board, progress=progress)
    progress.stage("measure")
    with open_session(result, on, port) as session:
        ratio, runner = measured_ratio(session), session.info.runner
    return ProbeResult(explain(ratio, expected, runner), ratio, expected, runner)


def compile_probe(board: Board, folder: Path, toolchain: str = "auto", progress: Progress | None = None) -> Result:
    """The probe's firmware: its kernels are those for the shorter multiplication, whatever the manifest says."""
    parameters = {**board.cycle_model.get("parameters", {}), _PARAMETER: CANDIDATES[0]}
    fast = replace(board, cycle_model={**board.cycle_model, "parameters": parameters})
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "probe.onnx"
    onnx.save(probe_network(), str(model))
    request = CompileRequest(
        model, fast, calibration="random", out=folder / board.id, toolchain=toolchain, weight_bits="2", patch="off"
    )
    return compile_model(request, progress or SilentProgress())


def probe_network() -> onnx.ModelProto:
    """A depthwise convolution, which keeps 8 bits, and a pointwise one."""
    rng = np.random.default_rng(0)
    weights = {
        "depthwise_w": rng.normal(0, 0.3, (_CHANNELS, 1, 3, 3)),
        "pointwise_w": rng.normal(0, 0.3, (_CHANNELS, _CHANNELS, 1, 1)),
    }
    nodes = [
        helper.make_node("Conv", ["x", "depthwise_w"], ["a"], "depthwise", group=_CHANNELS, pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["a", "pointwise_w"], ["y"], "pointwise"),
    ]
    shape = [1, _CHANNELS, _SIZE, _SIZE]
    graph = helper.make_graph(
        nodes,
        "probe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def measured_ratio(session: DeviceSession) -> float:
    """Median cycles of the last step by those of the first."""
    inputs = [random_codes(tensor) for tensor in session.identify().inputs]
    profile = session.profile(_RUNS, inputs)
    first, *_, last = profile.steps
    if first.median <= 0:
        raise ToolError("the cycle counter does not count", session.info.runner, hint="probe another board")
    return last.median / first.median


def explain(ratio: float, expected: Mapping[int, float], runner: str) -> int:
    """The number of cycles whose expected ratio is nearest.

    Raises:
        ToolError: none is near.
    """
    nearest = min(expected, key=lambda count: abs(math.log(ratio / expected[count])))
    if max(ratio / expected[nearest], expected[nearest] / ratio) > _TOLERANCE:
        predictions = ", ".join(f"{value:.2f} for {count}" for count, value in expected.items())
        raise ToolError(
            "the measurement fits no number of cycles",
            runner,
            f"ratio of the layers {ratio:.2f}; expected {predictions}",
            "is the clock in the manifest right, and are the caches on?",
        )
    return nearest


def _predicted(result: Result, board: Board, count: int) -> float:
    parameters = {**board.cycle_model.get("parameters", {}), _PARAMETER: count}
    emulator = Emulator(result.elf, board, cycle_model=cycle_model(board.cycle_model["model"], **parameters))
    transport = EmulatorTransport(emulator)
    with DeviceSession(transport, "emulator", result.program_sha256, run_timeout=EMULATED_RUN_SECONDS) as session:
        return measured_ratio(session)
