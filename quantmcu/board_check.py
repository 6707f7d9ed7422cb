"""Checks a board's manifest by using it: `quantmcu boards --check FILE`."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from quantmcu.build.toolchain import require_compiler
from quantmcu.emulator import Emulator, StopReason
from quantmcu.errors import ProblemListError, QuantMCUError
from quantmcu.pipeline import compile_model
from quantmcu.progress import Progress, SilentProgress
from quantmcu.request import CompileRequest
from quantmcu.results import Result
from quantmcu.targets import Board, load_board_file
from quantmcu.validation import validate_result

_BOOT_INSTRUCTIONS = 500_000_000
_SAMPLES = 3
_HINT = "docs/adding-a-board.md tells what a port and the emulator's rules have to do"


@dataclass(frozen=True)
class BoardCheck:
    """What came out.

    Attributes:
        problems: everything that is wrong; empty for a good manifest.
        board: None where the manifest can't be used at all.
        greeting: what the firmware printed when it booted in the emulator.
    """

    problems: tuple[QuantMCUError, ...]
    board: Board | None = None
    greeting: str = ""


def check_board(path: Path, *, toolchain: str = "auto", progress: Progress | None = None) -> BoardCheck:
    """Checks schema, memory regions and clock arithmetic, links a small network, boots it in the emulator and runs it.

    Later checks need the earlier ones: a manifest that contradicts itself is not built, what does not link does not
    boot, and what does not boot computes nothing.

    Args:
        path: the manifest.
        toolchain: as of `compile`.
        progress: told of the stages.

    Raises:
        UsageError: the toolchain that was asked for is not there.
        ToolError: there is no compiler.
    """
    progress = progress or SilentProgress()
    progress.stage("read the manifest")
    try:
        board = load_board_file(path)
    except ProblemListError as error:
        return BoardCheck(tuple(error.problems))
    except QuantMCUError as error:
        return BoardCheck((error,))
    require_compiler(toolchain)
    greeting = ""
    with tempfile.TemporaryDirectory(prefix="quantmcu-check-") as folder:
        try:
            result = _compiled(Path(folder), board, toolchain, progress)
            progress.stage("boot it in the emulator")
            greeting = _boot(result, board, path)
            progress.stage("compare its answers with the reference")
            validate_result(result, data="random", on="emulator", limit=_SAMPLES)
        except ProblemListError as error:
            return BoardCheck(tuple(error.problems), board, greeting)
        except QuantMCUError as error:
            return BoardCheck((error,), board, greeting)
    return BoardCheck((), board, greeting)


def check_network() -> onnx.ModelProto:
    """A small network with each important kind of kernel: full, depthwise and pointwise convolution, pooling, dense."""
    rng = np.random.default_rng(0)
    weights = {
        "conv_w": rng.normal(0, 0.3, (8, 3, 3, 3)),
        "depthwise_w": rng.normal(0, 0.3, (8, 1, 3, 3)),
        "pointwise_w": rng.normal(0, 0.3, (16, 8, 1, 1)),
        "dense_w": rng.normal(0, 0.3, (16, 4)),
        "dense_b": rng.normal(0, 0.3, 4),
    }
    same: dict[str, Any] = {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}
    nodes = [
        helper.make_node("Conv", ["x", "conv_w"], ["a"], "conv", strides=[2, 2], **same),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Conv", ["b", "depthwise_w"], ["c"], "depthwise", group=8, **same),
        helper.make_node("Clip", ["c", "zero", "six"], ["d"], "clip"),
        helper.make_node("Conv", ["d", "pointwise_w"], ["e"], "pointwise"),
        helper.make_node("GlobalAveragePool", ["e"], ["f"], "pool"),
        helper.make_node("Flatten", ["f"], ["g"], "flatten"),
        helper.make_node("Gemm", ["g", "dense_w", "dense_b"], ["y"], "dense"),
    ]
    constants = {**weights, "zero": np.array(0.0), "six": np.array(6.0)}
    graph = helper.make_graph(
        nodes,
        "check",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _compiled(folder: Path, board: Board, toolchain: str, progress: Progress) -> Result:
    model = folder / "check.onnx"
    onnx.save(check_network(), str(model))
    request = CompileRequest(model, board, calibration="random", out=folder / board.id, toolchain=toolchain)
    return compile_model(request, progress)


def _boot(result: Result, board: Board, path: Path) -> str:
    """What the firmware prints first.

    Raises:
        QuantMCUError: it does not come to its greeting.
    """
    emulator = Emulator(result.elf, board)
    where = f"{path.name}: quantmcu.emulator, port {board.port}"
    try:
        reason = emulator.run(limit=_BOOT_INSTRUCTIONS)
    except QuantMCUError as error:
        raise QuantMCUError(f"the firmware does not boot: {error.what}", where, error.why, _HINT) from error
    printed = emulator.console.read().decode("utf-8", "replace")
    line = next((line.strip() for line in printed.splitlines() if line.upper().startswith("QUANTMCU")), "")
    if reason is StopReason.HALTED or f"on {board.id} at {board.clock_hz} Hz" not in line:
        why = "; ".join(str(fault) for fault in emulator.faults)
        raise QuantMCUError(f"the firmware does not come to its greeting, but prints {line!r}", where, why, _HINT)
    return line


__all__ = ["BoardCheck", "check_board", "check_network"]
