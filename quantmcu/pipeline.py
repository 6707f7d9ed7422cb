"""The compiler, top to bottom: from an ONNX file to a folder with firmware."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx

from quantmcu.accuracy_drop import OPTION, DropLimit, check_drop
from quantmcu.bitwidths import BitChooser, QuantizedNetwork
from quantmcu.bitwidths.measured import measured_cost
from quantmcu.build import BuildResult, FlashOverflowError, build_project, build_to_fit, require_folder, write_project
from quantmcu.build.harness import harness_files, require_harness
from quantmcu.build.toolchain import require_compiler
from quantmcu.codegen.emit import EmittedModel, emit_model
from quantmcu.codegen.optimize import check_optimize
from quantmcu.data import (
    Dataset,
    InputSpec,
    Preprocess,
    RememberedDataset,
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
from quantmcu.planning import PlannedNetwork
from quantmcu.program.program import Program
from quantmcu.program.serialize import save_program
from quantmcu.progress import Progress, SilentProgress, StageClock
from quantmcu.quant import fold_input_affine
from quantmcu.quant.constant_inputs import constant_inputs
from quantmcu.quant.prepare import prepare
from quantmcu.report import write_report
from quantmcu.report.text import cost_of_bits
from quantmcu.request import CompileRequest
from quantmcu.result_data import describe
from quantmcu.results import Result
from quantmcu.targets import Board, load_board

PICTURE = "calibration.jpg"


@dataclass(frozen=True, eq=False)
class ChosenBits:
    """The quantized network.

    Attributes:
        bits: of weights and maps.
        search: what the search for them did; empty without one.
        classes: how patches are divided into classes; None: not.
    """

    bits: QuantizedNetwork
    search: Mapping[str, object]
    classes: DividedNetwork | None


@dataclass(frozen=True, eq=False)
class CompiledNetwork:
    """The network after each stage, for those who want to look inside.

    Attributes:
        graph: float.
        chosen: bits of weights and maps.
        planned: how it runs: patch stages, kernels, memory.
    """

    graph: Graph
    chosen: ChosenBits
    planned: PlannedNetwork
    emitted: EmittedModel

    @property
    def quantized(self) -> Graph:
        """Without classes of patches: ONNX has no branches by value."""
        return self.chosen.bits.graph if self.classes is None else self.classes.branches[0]

    @property
    def program(self) -> Program:
        """In integers, without patch stages."""
        return self.chosen.bits.program

    @property
    def search(self) -> Mapping[str, object]:
        """What the search for bits did."""
        return self.chosen.search

    @property
    def classes(self) -> DividedNetwork | None:
        """How patches are divided into classes; None: not."""
        return self.chosen.classes


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
    chosen = _choose_bits(request, prepared, clock)
    network = _generate(request, prepared.chooser, chosen, clock)
    with replacing_folder(out) as folder:
        with clock.stage("write"):
            picture = _write(folder, request, prepared, network, board)
        built = None
        if request.build:
            network, built = _build(folder, request, prepared, network, clock)
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


def _choose_bits(request: CompileRequest, prepared: PreparedModel, clock: StageClock) -> ChosenBits:
    """The bits of weights and maps, in one or two classes of patches."""
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
    return ChosenBits(bits, search, classes)


def _generate(request: CompileRequest, chooser: BitChooser, chosen: ChosenBits, clock: StageClock) -> CompiledNetwork:
    """Plans for the memory that `chooser` has, and generates the C."""
    classes, board = chosen.classes, chooser.board
    with clock.stage("plan"):
        planned = chooser.plan(chosen.bits) if classes is None else classes.plan(board, chooser.budget)
        if planned.overflow is not None and request.build:
            raise planned.overflow
        for note in (*planned.notes, *([str(planned.overflow)] if planned.overflow else [])):
            clock.note(note)
    with clock.stage("generate"):
        candidate = planned.candidate
        emitted = emit_model(candidate.program, candidate.selections, candidate.timeline, planned.memory)
        _check_flash(emitted, chooser.budget, board, request, clock)
    return CompiledNetwork(chooser.graph, chosen, planned, emitted)


def _build(
    folder: Path, request: CompileRequest, prepared: PreparedModel, first: CompiledNetwork, clock: StageClock
) -> tuple[CompiledNetwork, BuildResult]:
    """Builds the project in `folder`.

    Where flash does not suffice, bits and kernels are chosen once more for as much as there is: with weights `auto`,
    another layer gets fewer bits; of kernels, smaller ones take the place of some.
    """
    chooser = prepared.chooser
    board, limit = chooser.board, chooser.budget.flash_bytes

    def build(network: CompiledNetwork) -> BuildResult:
        if network is not first:
            with clock.stage("write"):
                _write(folder, request, prepared, network, board)
        try:
            with clock.stage("build"):
                heat = network.emitted.heat
                return build_project(folder, board, toolchain=request.toolchain, heat=heat, flash_bytes=limit)
        except FlashOverflowError as error:
            missing = f"{error.missing:,} bytes of flash are missing for the code"
            clock.note(f"{missing}: bits and kernels are chosen again with less")
            raise

    def smaller(missing: int) -> CompiledNetwork:
        less = replace(prepared, chooser=replace(chooser, budget=chooser.budget.with_less_flash(missing)))
        return _generate(request, less.chooser, _choose_bits(request, less, clock), clock)

    return build_to_fit(first, build, smaller, lambda network: network.emitted.files)


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
