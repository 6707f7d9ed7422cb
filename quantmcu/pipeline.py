"""The compiler, top to bottom: from an ONNX file to a folder with firmware."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from quantmcu.accuracy_drop import OPTION, DropLimit, check_drop
from quantmcu.bitwidths import BitChooser, BitsRequest
from quantmcu.bitwidths.measured import measured_cost
from quantmcu.build import build_project, require_folder, write_project
from quantmcu.build.harness import harness_files, require_harness
from quantmcu.build.toolchain import require_compiler
from quantmcu.codegen.emit import EmittedModel, emit_model
from quantmcu.codegen.optimize import Optimize, check_optimize
from quantmcu.data import (
    Dataset,
    InputSpec,
    Preprocess,
    RememberedDataset,
    Source,
    input_specs,
    load_preprocess,
    open_dataset,
    sample_picture,
    write_preprocess_file,
)
from quantmcu.divided import DividedNetwork, divide
from quantmcu.errors import UsageError
from quantmcu.export import export_onnx
from quantmcu.frontend import load_onnx, read_network
from quantmcu.held_out import held_out_split
from quantmcu.ir import Graph
from quantmcu.memory.budget import Budget, budget_of, check_limits, flash_error
from quantmcu.output_folder import check_output, fingerprints, replacing_folder
from quantmcu.passes import simplify
from quantmcu.patch.request import PatchRequest
from quantmcu.planning import PlannedNetwork
from quantmcu.program.program import Program
from quantmcu.program.serialize import save_program
from quantmcu.progress import Progress, SilentProgress, StageClock
from quantmcu.quant import fold_input_affine
from quantmcu.quant.constant_inputs import constant_inputs
from quantmcu.quant.prepare import prepare
from quantmcu.quant.vdpc import DEFAULT_PHI
from quantmcu.quant.vdqs import DEFAULT_LAMBDA, Information
from quantmcu.report import write_report
from quantmcu.report.text import cost_of_bits
from quantmcu.result_data import describe
from quantmcu.results import Result
from quantmcu.targets import Board, load_board
from quantmcu.vdpc import ClassesRequest

CALIBRATION_LIMIT = 200
PICTURE = "calibration.jpg"


@dataclass(frozen=True)
class CompileRequest:
    """What to compile, and how.

    Attributes:
        model: the ONNX file.
        board: a board, or the id of one.
        calibration: data to calibrate with: a path, arrays, or "random".
        out: the folder to write; None: `<model name>-<board id>` in the current folder.
        preprocess: name of a preset or a TOML file, for images.
        ram, flash: budgets in bytes in place of the board's.
        calibration_limit: at most so many samples.
        build: run PlatformIO; without it the project is written and may exceed the board's memory.
        toolchain: "auto", "gcc", "zig" or "registry".
        harness: the firmware's main program: "quantmcu", or "eembc" for the MLPerf Tiny runner.
        optimize: what the code shall be good at: "balanced", "speed" or "size" (quantmcu/codegen/optimize.py).
        patch, split_at, halo, objective, input_on_demand: how to run in patches; see `PatchRequest`.
        bits, weight_bits, lam, information, bitops_reduction, reconstruct: bits of maps and weights, and what makes up
            for them; see `BitsRequest`. Random inputs are nothing to learn from: with them, "auto" is "off".
        max_accuracy_drop: the fewest BitOPs, or cycles, that lose at most so many points; see `DropLimit`.
        vdpc, phi, outlier_fraction: patches in two classes; see `ClassesRequest`.
    """

    model: Path
    board: Board | str
    calibration: Source | None = None
    out: Path | None = None
    preprocess: str | Path | None = None
    ram: int | None = None
    flash: int | None = None
    calibration_limit: int = CALIBRATION_LIMIT
    build: bool = True
    toolchain: str = "auto"
    optimize: Optimize = "balanced"
    patch: str = "auto"
    split_at: str | None = None
    halo: str | None = None
    objective: str | None = None
    input_on_demand: bool = False
    harness: str = "quantmcu"
    bits: str = "auto"
    weight_bits: str = "auto"
    lam: float = DEFAULT_LAMBDA
    information: Information = "measured"
    bitops_reduction: float | None = None
    reconstruct: str = "auto"
    max_accuracy_drop: float | None = None
    vdpc: str = "auto"
    phi: float = DEFAULT_PHI
    outlier_fraction: float = 0.0

    @property
    def classes(self) -> ClassesRequest:
        """What is asked for of classes of patches.

        Raises:
            UsageError: there is no such choice, or it contradicts other options.
        """
        request = self._classes
        request.check(self.bitwidths.is_mixed, self.bitops_reduction, self.patches)
        return request

    @property
    def bitwidths(self) -> BitsRequest:
        """What is asked for of bits.

        Raises:
            UsageError: there is no such choice.
        """
        cost = "cycles" if self.objective == "latency" else "bitops"
        asks = self._classes.is_asked_for or self.bitops_reduction is not None or self.max_accuracy_drop is not None
        bits = "mixed" if self.bits == "auto" and asks else self.bits
        is_random = isinstance(self.calibration, str) and self.calibration == "random"
        reconstruct = "off" if is_random and self.reconstruct == "auto" else self.reconstruct
        return BitsRequest(
            bits, self.weight_bits, self.lam, self.information, self.bitops_reduction, cost, reconstruct
        )

    @property
    def _classes(self) -> ClassesRequest:
        return ClassesRequest(self.vdpc, self.phi, self.outlier_fraction)

    @property
    def patches(self) -> PatchRequest:
        """What is asked for of patch stages.

        Raises:
            UsageError: it contradicts itself.
        """
        return PatchRequest(self.patch, self.split_at, self.halo, self.objective, self.input_on_demand)


@dataclass(frozen=True, eq=False)
class CompiledNetwork:
    """The network after each stage, for those who want to look inside.

    Attributes:
        planned: how `program` runs: patch stages, kernels, memory.
        search: what the search for the bits of feature maps did; empty without one.
        classes: how patches are divided into classes; None: not.
    """

    graph: Graph
    quantized: Graph
    program: Program
    planned: PlannedNetwork
    emitted: EmittedModel
    search: Mapping[str, object]
    classes: DividedNetwork | None = None


def compile_model(request: CompileRequest, progress: Progress | None = None) -> Result:
    """Compiles a model into a folder with PlatformIO project, firmware, quantized.onnx, result.json and report.html.

    Everything is written to a temporary folder that takes its place at the end: an interrupted run leaves nothing.

    Raises:
        QuantMCUError: the model can't be compiled or doesn't fit.
        UsageError: the request is wrong.
        ToolError: the compiler or PlatformIO failed.
    """
    clock = StageClock(progress or SilentProgress())
    board = request.board if isinstance(request.board, Board) else load_board(request.board)
    out = request.out or Path.cwd() / f"{request.model.stem}-{board.id}"
    _check(request, out)
    prepared = prepare_model(request, board, clock, OPTION if request.max_accuracy_drop is not None else None)
    budget = prepared.chooser.budget
    network = _compile(request, prepared, board, clock)
    with replacing_folder(out) as folder:
        with clock.stage("write"):
            picture = _write(folder, request, prepared, network, board)
        built = None
        if request.build:
            with clock.stage("build"):
                built = build_project(folder, board, toolchain=request.toolchain, heat=network.emitted.heat)
        digest = hashlib.sha256(request.model.read_bytes()).hexdigest()
        facts = describe(
            request.model.name, digest, board, budget, network, prepared.dataset, prepared.input_format, clock, built,
            picture,
        )  # fmt: skip
        result = Result(folder, facts | {"files": fingerprints(folder)})
        result.save()
        write_report(result)
    return Result.load(out)


def _check(request: CompileRequest, out: Path) -> None:
    """Refuses what contradicts itself or can't be written before any work is done."""
    check_optimize(request.optimize)
    request.patches, request.bitwidths, request.classes  # noqa: B018  (they check themselves)
    check_drop(request.max_accuracy_drop, request.bitwidths, request.vdpc)
    require_harness(request.harness)
    check_output(out)
    if request.build:
        require_folder(out)
        require_compiler(request.toolchain)


def _compile(request: CompileRequest, prepared: PreparedModel, board: Board, clock: StageClock) -> CompiledNetwork:
    """Chooses bits and plan, and generates the C."""
    chooser, classes = prepared.chooser, None
    if request.max_accuracy_drop is not None and prepared.held_out is not None:
        limit = DropLimit(request.max_accuracy_drop, prepared.original, prepared.held_out)
        bits = limit.choose(chooser, request.bitwidths)
    else:
        classes = divide(chooser, request.bitwidths, request.classes, request.optimize)
        bits = chooser.choose(request.bitwidths, must_fit=request.build) if classes is None else classes.network
    search = dict(bits.search)
    if classes is None and (bits.weight_bits or bits.map_bits):
        with clock.stage("measure bits"):
            search["measured"] = measured_cost(chooser, bits)
        clock.note(f"fewer bits than 8: {cost_of_bits(search['measured'])}")
    quantized = bits.graph if classes is None else classes.branches[0]  # ONNX has no branches by value
    with clock.stage("plan"):
        planned = chooser.plan(bits) if classes is None else classes.plan(board, chooser.budget)
        if planned.overflow is not None and request.build:
            raise planned.overflow
        for note in (*planned.notes, *([str(planned.overflow)] if planned.overflow else [])):
            clock.note(note)
    with clock.stage("generate"):
        chosen = planned.candidate
        emitted = emit_model(chosen.program, chosen.selections, chosen.timeline, planned.memory)
        _check_flash(emitted, chooser.budget, board, request, clock)
    return CompiledNetwork(prepared.graph, quantized, bits.program, planned, emitted, search, classes)


def _write(
    folder: Path, request: CompileRequest, prepared: PreparedModel, network: CompiledNetwork, board: Board
) -> str | None:
    """Writes everything but firmware, result and report; returns the file of a calibration image, or None."""
    program = network.program
    input_bytes = sum(program.values[name].nbytes for name in program.inputs)
    harness = harness_files(request.harness, request.model.stem, input_bytes)
    write_project(folder, board, network.emitted.files, name=program.name, harness=harness)
    onnx.save(prepared.model, str(folder / "float.onnx"))
    onnx.save(export_onnx(network.quantized, qdq=True), str(folder / "quantized.onnx"))
    executed = program if network.classes is None else network.planned.candidate.program
    save_program(executed, folder / "program.npz")
    if prepared.preprocess is not None:
        write_preprocess_file(prepared.preprocess, folder / "preprocess.toml")
    picture = sample_picture(prepared.dataset, input_specs(prepared.original), prepared.preprocess)
    if picture is None:
        return None
    (folder / PICTURE).write_bytes(picture)
    return PICTURE


@dataclass(frozen=True, eq=False)
class PreparedModel:
    """A model before its bits are chosen.

    Attributes:
        model: as read.
        original: the float graph as imported; `graph`: the one to quantize.
        dataset: to calibrate with; `held_out`: samples that were kept apart.
        preprocess: of images.
        input_format: what the firmware's input takes.
        chooser: of the bits.
    """

    model: onnx.ModelProto
    original: Graph
    graph: Graph
    dataset: Dataset
    held_out: Dataset | None
    preprocess: Preprocess | None
    input_format: str
    chooser: BitChooser


def prepare_model(
    request: CompileRequest, board: Board, clock: StageClock, held_out_for: str | None = None
) -> PreparedModel:
    """Reads model and data, calibrates.

    Args:
        request: what to compile.
        board: to run on.
        clock: told how far it is.
        held_out_for: the option for which a third of the samples is kept apart; None: not.

    Raises:
        QuantMCUError: the model can't be compiled.
        UsageError: unusable or too few data.
    """
    check_limits(board, ram=request.ram, flash=request.flash)
    with clock.stage("import"):
        model = read_network(request.model)
        original = simplify(load_onnx(model))
    with clock.stage("calibrate"):
        specs = input_specs(original)
        preprocess = None if request.preprocess is None else load_preprocess(request.preprocess, specs[0])
        dataset = _calibration_data(request, specs, preprocess)
        if dataset.warning:
            clock.note(dataset.warning)
        graph, input_format = _raw_pixels(original, dataset, preprocess)
        dataset, held_out = dataset.take(request.calibration_limit), None
        if dataset.is_pixels:
            dataset = RememberedDataset(dataset)  # several stages read it: images are decoded once
        if held_out_for is not None:
            dataset, held_out = held_out_split(dataset, held_out_for)
    prepared = prepare(graph, dataset, clock=clock)
    for warning in constant_inputs(prepared.graph, prepared.calibration):
        clock.note(warning)
    budget = budget_of(board, ram=request.ram, flash=request.flash)
    chooser = BitChooser(
        prepared.graph, prepared.calibration, dataset, board, budget, request.patches, clock, optimize=request.optimize
    )
    return PreparedModel(model, original, prepared.graph, dataset, held_out, preprocess, input_format, chooser)


def _calibration_data(request: CompileRequest, specs: tuple[InputSpec, ...], preprocess: Preprocess | None) -> Dataset:
    """The calibration set; there is no default."""
    if request.calibration is None:
        shapes = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in specs)
        raise UsageError(
            "no calibration data",
            str(request.model),
            f"quantization needs typical inputs to choose ranges; the model takes {shapes}",
            "give --calib with an .npz (x), an .npy or a folder of images (about 100 samples); "
            "`--calib random` compiles without any, for trying sizes and speed only",
        )
    return open_dataset(request.calibration, specs, preprocess)


def _raw_pixels(graph: Graph, dataset: Dataset, preprocess: Preprocess | None) -> tuple[Graph, str]:
    """The graph for raw camera bytes, where one scale and a whole zero point allow it; and what its input takes."""
    if preprocess is None or not dataset.is_pixels or len(graph.inputs) != 1:
        return graph, "codes: round(real value / scale) + zero point"
    affine = preprocess.affine(graph.tensor(graph.inputs[0]).shape[-1])
    folded = fold_input_affine(graph, affine)
    if isinstance(folded, str):
        return graph, f"codes of the preprocessed image; raw pixels are not possible: {folded}"
    if not np.allclose(folded.affine.offset, affine.offset, rtol=0, atol=1e-6 * float(affine.scale.max())):
        return graph, "codes of the preprocessed image; raw pixels are not possible: no whole code stands for 0"
    return folded.graph, "raw pixels 0 .. 255"


def _check_flash(
    emitted: EmittedModel, budget: Budget, board: Board, request: CompileRequest, clock: StageClock
) -> None:
    """Weights that exceed the flash are an error, or with --no-build a note."""
    if emitted.constant_bytes > budget.constant_bytes:
        error = flash_error(emitted.stored, budget.constant_bytes, budget, board)
        if request.build:
            error.hint += "; `--no-build` writes the C project and lets you validate it on the host all the same"
            raise error
        clock.note(str(error))
