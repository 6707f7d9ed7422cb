"""The commands of QuantMCU as functions; `import quantmcu` offers them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import onnx

from quantmcu.build import flash_project
from quantmcu.build.doctor import Check, diagnose
from quantmcu.codegen.optimize import Optimize
from quantmcu.data import Source
from quantmcu.demonstration import DemoImage, run_demo
from quantmcu.exploration import LAMBDAS, REDUCTIONS, Exploration, Sweep, explore_model
from quantmcu.frontend import OperatorSupport, load_onnx, read_network, supported_operators
from quantmcu.frontier import Frontier, plan_model
from quantmcu.inspection import Inspection, inspect_model
from quantmcu.ir import Graph
from quantmcu.measurement import measure_result
from quantmcu.patch.request import PatchRequest
from quantmcu.pipeline import compile_model
from quantmcu.progress import Progress, SilentProgress
from quantmcu.quant.vdpc import DEFAULT_PHI
from quantmcu.quant.vdqs import DEFAULT_LAMBDA, Information
from quantmcu.request import CALIBRATION_LIMIT, CompileRequest
from quantmcu.results import Result
from quantmcu.targets import Board, list_boards
from quantmcu.validation import REFERENCE_LIMIT, SampleOutcome, validate_result

Folder = Result | Path | str
"""A result, or the folder of one."""


def load(model: Path | str) -> Graph:
    """The network in an ONNX file (or .tflite, .keras with the extra `tensorflow`), as the compiler sees it.

    Raises:
        UsageError: the file is missing or no model.
        QuantMCUError: parts of it are unsupported; all of them are named.
    """
    return load_onnx(read_network(Path(model)))


def inspect(model: Path | str | onnx.ModelProto) -> Inspection:
    """Operators, shapes, MACs and memory by layer, and what is unsupported.

    Raises:
        UsageError: the file is missing or no model.
        QuantMCUError: its structure is broken.
    """
    return inspect_model(model if isinstance(model, onnx.ModelProto) else Path(model))


def compile(
    model: Path | str,
    board: Board | str,
    *,
    calibration: Source | None,
    out: Path | str | None = None,
    preprocess: Path | str | None = None,
    calibration_limit: int = CALIBRATION_LIMIT,
    ram: int | None = None,
    flash_size: int | None = None,
    build: bool = True,
    toolchain: str = "auto",
    optimize: Optimize = "balanced",
    patch: str = "auto",
    split_at: str | None = None,
    halo: str | None = None,
    objective: str | None = None,
    input_on_demand: bool = False,
    bits: str = "auto",
    weight_bits: str = "auto",
    lam: float = DEFAULT_LAMBDA,
    information: Information = "measured",
    bitops_reduction: float | None = None,
    reconstruct: str = "auto",
    max_accuracy_drop: float | None = None,
    vdpc: str = "auto",
    phi: float = DEFAULT_PHI,
    outlier_fraction: float = 0.0,
    harness: str = "quantmcu",
    progress: Progress | None = None,
) -> Result:
    """Compiles a model into a folder with PlatformIO project, firmware.elf, quantized.onnx, result.json, report.html.

    Args:
        model: an ONNX file (or .tflite, .keras with the extra `tensorflow`).
        board: id of a board, a manifest (.json), or a Board.
        calibration: .npz (`x`), .npy, folder of images, arrays, or "random", which is for trying sizes and speed only.
        out: the folder to write; None: `<model>-<board>` in the current folder.
        preprocess: for images: name of a preset, or a TOML file.
        calibration_limit: at most so many samples are read.
        ram, flash_size: budgets in bytes in place of the board's.
        build: False writes the C project only, and lets it exceed the board's memory.
        toolchain: "auto", "gcc", "zig", "registry" (PlatformIO's), or a path.
        optimize: "speed"; "balanced": the same with at most 64 KiB of generated code, or a 16th of the
            flash; or "size": less flash.
        patch: "auto" runs layers patch by patch where the RAM asks for it, "off" never; a grid such as
            "3x3" forces one patch stage.
        split_at: node after which the only patch stage ends.
        halo: "cache", "cache-rows", "cache-narrow" or "recompute": what becomes of what several patches need; None:
            chosen.
        objective: None: the fastest plan that fits, and fewer bits save BitOPs; "latency": they save predicted cycles;
            "ram": the plan with the least RAM.
        input_on_demand: the firmware asks for parts of the input (`quantmcu_set_reader`) in place of a buffer for it.
        harness: the firmware's main program: "quantmcu", or "eembc" for the MLPerf Tiny runner.
        bits: of feature maps: "8"; or chosen by VDQS: "mixed": each one 8 or 4; or among a list, such as "8,4,2"; or
            "auto": 8, and where that does not fit the RAM, as many of 4 as needed.
        weight_bits: "8", "4" or "2", or "auto": 8 where they fit the flash, else as many layers as needed at 4, or 2.
        lam: weight of information against cost in the score of VDQS, 0 .. 1.
        information: what VDQS takes for information: "measured", "sqnr" or "entropy" (as the paper).
        vdpc: with mixed bits, patches with outliers keep 8 bits: "dynamic", decided at run time; "static", by their
            position; "off"; "auto": where patches with recomputed halos are asked for and it beats random patches.
        phi: VDPC: central mass of the values that are no outliers.
        outlier_fraction: VDPC: a patch with more than this share of outliers keeps 8 bits.
        bitops_reduction: with mixed bits: lowers weights and feature maps together until the network takes so many
            times fewer BitOPs than with 8 bits and recomputed halos, in place of VDQS's score. With `objective`
            "latency" by the least loss for each cycle saved, and no further than predicted cycles fall.
        reconstruct: "auto": where weights or maps have fewer than 8 bits, integer weights and biases are trained on the
            calibration samples (without labels) to make up for it, for about one minute of computing; "off"; or a
            number of passes over the samples, with 8 bits too.
        max_accuracy_drop: with mixed bits: the fewest BitOPs (with `objective` "latency": predicted cycles) that lose
            at most so many points of accuracy (without labels: of agreement with the float model), measured on a third
            of the calibration data that is held out.
        progress: told of the stages.

    Raises:
        QuantMCUError: the model can't be compiled, or does not fit.
        UsageError: the request is wrong.
        ToolError: the compiler or PlatformIO failed.
    """
    request = CompileRequest(
        model=Path(model),
        board=board,
        calibration=calibration,
        out=None if out is None else Path(out),
        preprocess=preprocess,
        ram=ram,
        flash=flash_size,
        calibration_limit=calibration_limit,
        build=build,
        toolchain=toolchain,
        optimize=optimize,
        patch=patch,
        split_at=split_at,
        halo=halo,
        objective=objective,
        input_on_demand=input_on_demand,
        harness=harness,
        bits=bits,
        weight_bits=weight_bits,
        lam=lam,
        information=information,
        bitops_reduction=bitops_reduction,
        reconstruct=reconstruct,
        max_accuracy_drop=max_accuracy_drop,
        vdpc=vdpc,
        phi=phi,
        outlier_fraction=outlier_fraction,
    )
    return compile_model(request, progress)


def plan(
    model: Path | str,
    board: Board | str,
    *,
    ram: int | None = None,
    patch: str = "auto",
    split_at: str | None = None,
    halo: str | None = None,
    objective: str | None = None,
    input_on_demand: bool = False,
    progress: Progress | None = None,
) -> Frontier:
    """The ways to run a model on a board, from the fastest to the smallest in RAM; needs no calibration data.

    Args:
        model: an ONNX file (or .tflite, .keras with the extra `tensorflow`).
        board: id of a board, a manifest (.json), or a Board.
        ram: budget in bytes in place of the board's.
        patch, split_at, halo, objective, input_on_demand: as of `compile`.
        progress: told of the stages.

    Raises:
        QuantMCUError: the model can't be compiled.
        UsageError: the request is wrong.
    """
    request = PatchRequest(patch, split_at, halo, objective, input_on_demand)
    return plan_model(Path(model), board, request, ram=ram, progress=progress)


def explore(
    model: Path | str,
    board: Board | str,
    *,
    calibration: Source | None,
    preprocess: Path | str | None = None,
    calibration_limit: int = CALIBRATION_LIMIT,
    lams: Sequence[float] = LAMBDAS,
    bitops_reductions: Sequence[float] = REDUCTIONS,
    phis: Sequence[float] | None = None,
    bits: str = "mixed",
    weight_bits: str = "auto",
    information: Information = "measured",
    reconstruct: str = "off",
    ram: int | None = None,
    flash_size: int | None = None,
    patch: str = "auto",
    split_at: str | None = None,
    halo: str | None = None,
    objective: str | None = None,
    input_on_demand: bool = False,
    progress: Progress | None = None,
) -> Exploration:
    """Many choices of bits with their BitOPs, predicted cycles, memory, and accuracy on held-out samples.

    Args:
        model: an ONNX file (or .tflite, .keras with the extra `tensorflow`).
        board: id of a board, a manifest (.json), or a Board.
        calibration: .npz (`x`, `y`), .npy, folder of images, or arrays; a third of it is held out to measure with.
        preprocess, calibration_limit, ram, flash_size: as of `compile`.
        lams: VDQS is tried with each.
        bitops_reductions: weights and maps are lowered together to each of so many times fewer BitOPs.
        phis: VDPC is tried with each, beside random patches; None: a row of values if `patch` or `split_at` is given.
        bits: what feature maps may have: "mixed" (8 and 4), or a list such as "8,4,2".
        weight_bits, information: of VDQS, VDPC and the baselines, as of `compile`.
        reconstruct: as of `compile`, for each choice of bits that is not 8 everywhere: takes its time each time.
        patch, split_at, halo, objective, input_on_demand: as of `compile`.
        progress: told of the stages.

    Raises:
        QuantMCUError: the model can't be compiled.
        UsageError: the request is wrong, or there are too few samples.
    """
    request = CompileRequest(
        model=Path(model),
        board=board,
        calibration=calibration,
        preprocess=preprocess,
        calibration_limit=calibration_limit,
        ram=ram,
        flash=flash_size,
        patch=patch,
        split_at=split_at,
        halo=halo,
        objective=objective,
        input_on_demand=input_on_demand,
        weight_bits=weight_bits,
        information=information,
        reconstruct=reconstruct,
    )
    sweep = Sweep(tuple(lams), tuple(bitops_reductions), None if phis is None else tuple(phis), bits)
    return explore_model(request, sweep, progress)


def measure(
    folder: Folder,
    *,
    on: str = "emulator",
    port: str | None = None,
    runs: int = 10,
    profile: bool = True,
    memory_model: bool = False,
    data: Source | None = None,
    preprocess: Path | str | None = None,
    progress: Progress | None = None,
) -> Result:
    """Times the very firmware.elf and adds `latency` with its conditions to the result.

    Args:
        folder: what `compile` returned, or its folder.
        on: "emulator" (estimates the core's cycles) or "device".
        port: serial port; None: the board is found by its USB identity.
        runs: how many; the first is kept apart.
        profile: also by step.
        memory_model: in the emulator, also model wait states and caches of the board.
        data: .npz, .npy, folder of images, arrays: another sample for each run; None: random codes.
        preprocess: for images; None: as at the compilation.
        progress: told of the stages.

    Raises:
        UsageError: nothing is built there.
        ToolError: no board, other firmware, a fault with its cause.
    """
    return measure_result(
        _result(folder),
        on=on,
        port=port,
        runs=runs,
        profile=profile,
        memory_model=memory_model,
        data=data,
        preprocess=preprocess,
        progress=progress,
    )


def validate(
    folder: Folder,
    *,
    data: Source,
    on: str = "host",
    port: str | None = None,
    preprocess: Path | str | None = None,
    limit: int | None = None,
    reference_limit: int = REFERENCE_LIMIT,
    progress: Progress | None = None,
    on_sample: Callable[[SampleOutcome], None] = lambda outcome: None,
) -> Result:
    """Runs data through the network: bit-exact against the reference, and accuracy against the float model.

    Args:
        folder: what `compile` returned, or its folder.
        data: .npz (`x`, optional `y`), .npy, folder of images, folder with one sub-folder a class, "random", arrays.
        on: "host", "emulator", "qemu", "device" or "reference".
        port: serial port; None: the board is found by its USB identity.
        preprocess: for images; None: as at the compilation.
        limit: at most so many samples, spread over the set.
        reference_limit: at most so many of them are compared with the reference.
        progress: told of each sample.
        on_sample: gets the outputs for each sample.

    Raises:
        UsageError: the data does not fit the network.
        ToolError: what runs the network did not do its part.
        QuantMCUError: an output differs from the reference; says which byte of which sample.
    """
    return validate_result(
        _result(folder),
        data=data,
        on=on,
        port=port,
        preprocess=preprocess,
        limit=limit,
        reference_limit=reference_limit,
        progress=progress,
        on_sample=on_sample,
    )


def flash(
    folder: Folder, *, protocol: str | None = None, port: str | None = None, progress: Progress | None = None
) -> None:
    """Uploads firmware.elf of a result to its board with PlatformIO.

    Args:
        folder: what `compile` returned, or its folder.
        protocol: one of the board's upload protocols; None: its default.
        port: serial port or disk, for the protocols that use one.
        progress: told what happens.

    Raises:
        UsageError: nothing is built there, or the board has no such protocol.
        ToolError: no board, no upload tool, verification failed.
    """
    result = _result(folder)
    flash_project(result.folder, result.board, protocol=protocol, port=port, progress=progress)


def boards() -> list[Board]:
    """All boards that QuantMCU ships."""
    return list_boards()


def ops() -> list[OperatorSupport]:
    """The ONNX operators that can be compiled, with their limits."""
    return supported_operators()


def doctor() -> list[Check]:
    """What QuantMCU uses on this machine, what is missing, and what to do about it."""
    return diagnose()


def demo(
    out: Path | str = "quantmcu-demo",
    *,
    toolchain: str = "auto",
    progress: Progress | None = None,
    on_image: Callable[[DemoImage], None] = lambda image: None,
) -> Result:
    """Compiles the trained network that QuantMCU ships, and runs its firmware in the emulator on real photographs.

    Args:
        out: folder of the result.
        toolchain: as of `compile`.
        progress: told of the stages.
        on_image: gets what was recognised in each photograph.

    Raises:
        ToolError: no compiler.
    """
    return run_demo(Path(out), toolchain=toolchain, progress=progress or SilentProgress(), on_image=on_image)


def _result(folder: Folder) -> Result:
    return folder if isinstance(folder, Result) else Result.load(folder)
