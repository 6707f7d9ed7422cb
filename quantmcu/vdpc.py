"""VDPC in the compiler: divides the patches of a stage into two classes, each a branch of its own (docs/bitwidths.md).

The stage is one with recomputed halos, since cells of two classes can't carry rows to each other. Both branches have
the same weights; each one's maps have ranges calibrated on the patches of its class. Those of the outlier class keep 8
bits, the others take those that VDQS chooses. What the stage reads and writes has 8 bits and one scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from quantmcu.codegen.kernel import Core
from quantmcu.codegen.optimize import Optimize
from quantmcu.codegen.select import AnySelection, StageSelection, select_kernels
from quantmcu.data import Dataset
from quantmcu.errors import QuantMCUError, UsageError
from quantmcu.ir import Graph
from quantmcu.ir.verify import verify
from quantmcu.memory.budget import Budget, ram_error
from quantmcu.memory.planner import DoesNotFitError
from quantmcu.patch.candidate import Candidate
from quantmcu.patch.classes import with_dynamic_classes, with_static_classes
from quantmcu.patch.request import PatchRequest
from quantmcu.patch.search import Search, divided
from quantmcu.planning import PlannedNetwork, describe_stage, fits, place, single_stages, stage_search
from quantmcu.program.lower import lower
from quantmcu.program.program import Program
from quantmcu.program.stages import OutlierTest, PatchStage
from quantmcu.progress import StageClock
from quantmcu.quant import Calibration, quantize
from quantmcu.quant.calibrate import run_float
from quantmcu.quant.vdpc import (
    DEFAULT_PHI,
    Classes,
    ValueModel,
    branch_graph,
    calibrate_classes,
    classify,
    outlier_test,
    static_classes,
)
from quantmcu.targets import Board

MODES = ("auto", "off", "dynamic", "static")
GRID = "3x3"
"""Of the stage where none was asked for, as in the paper's figures."""


@dataclass(frozen=True)
class ClassesRequest:
    """What the user wants of VDPC.

    Attributes:
        mode: "dynamic": decided at run time; "static": by position; "off"; "auto": see `is_tried`.
        phi: central mass of the values that are no outliers.
        fraction: a patch with more than this share of outliers is of the outlier class.

    Raises:
        UsageError: there is no such choice.
    """

    mode: str = "auto"
    phi: float = DEFAULT_PHI
    fraction: float = 0.0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UsageError(f"unknown value '{self.mode}'", "--vdpc", hint=f"one of {', '.join(MODES)}")
        if not 0 < self.phi < 1:
            hint = "a share between 0 and 1, such as 0.96"
            raise UsageError(f"{self.phi:g} is out of range", "--phi", hint=hint)
        if not 0 <= self.fraction < 1:
            hint = "a share from 0 (one outlier suffices) to below 1"
            raise UsageError(f"{self.fraction:g} is out of range", "--outlier-fraction", hint=hint)

    @property
    def is_asked_for(self) -> bool:
        """Whether the user wants classes, whatever they are worth."""
        return self.mode in ("dynamic", "static")

    def check(self, mixed: bool, reduction: float | None, patches: PatchRequest) -> None:
        """Refuses what contradicts the other options; `mixed`: maps may have fewer than 8 bits.

        Raises:
            UsageError: it does.
        """
        if not self.is_asked_for:
            return
        option = f"--vdpc {self.mode}"
        if not mixed:
            raise UsageError("needs --bits mixed", option, "with 8 bits everywhere both classes would be the same")
        if reduction is not None:
            why = "it lowers maps for the whole network, VDPC for some of the patches"
            raise UsageError("does not go with --bitops-reduction", option, why, "leave out one of them")
        if patches.patch == "off":
            raise UsageError("needs patches, and --patch is off", option, hint="leave out --patch off")
        if patches.halo not in (None, "recompute"):
            raise UsageError(
                f"does not go with --halo {patches.halo}",
                option,
                "cells of two classes have different scales: they can't hand rows to each other",
                "leave out --halo; VDPC computes halos again",
            )

    def is_tried(self, mixed: bool, reduction: float | None, patches: PatchRequest) -> bool:
        """Whether patches are divided: where asked for; by "auto" where a stage with recomputed halos is.

        By "auto" it is then taken only where it measures better than random patches (`quantmcu/pipeline.py`).
        """
        if self.mode != "auto":
            return self.mode != "off"
        return mixed and reduction is None and patches.is_forced and patches.halo == "recompute"


@dataclass(frozen=True, eq=False)
class Division:
    """The patches of a stage in two classes.

    Attributes:
        request: what was asked for.
        core: to run on.
        constant_bytes: flash for weights and tables.
        layers: the network without stages, at 8 bits.
        candidate: the network with the stage, at 8 bits.
        model, test: of the values of the tested tensor.
        by_sample: classes of the cells in each calibration sample.
        calibrations: of the outlier class and of the other one.
    """

    request: ClassesRequest
    core: Core
    constant_bytes: int
    layers: Candidate
    candidate: Candidate
    model: ValueModel
    test: OutlierTest
    by_sample: Sequence[Classes]
    calibrations: tuple[Calibration, Calibration]

    @property
    def is_dynamic(self) -> bool:
        """Decided at run time."""
        return self.request.mode != "static"

    @cached_property
    def stage(self) -> PatchStage:
        """The stage whose cells have classes, at 8 bits: the first one."""
        return _first_stage(self.candidate.program)

    @cached_property
    def positions(self) -> Classes:
        """Static classes by cell."""
        return static_classes(self.by_sample)

    @property
    def counted(self) -> Sequence[Classes]:
        """By calibration sample, the classes in which the cells run."""
        return self.by_sample if self.is_dynamic else [self.positions] * len(self.by_sample)

    @property
    def shares(self) -> tuple[float, ...]:
        """By cell, the share of inferences in which it runs the outlier branch, from the calibration samples."""
        return tuple(float(share) for share in np.mean(np.stack(self.counted), axis=0))

    @property
    def share(self) -> float:
        """Share of the cells that run the outlier branch."""
        return float(np.mean(self.shares))

    @property
    def fixed(self) -> frozenset[str]:
        """Tensors that keep 8 bits in both branches: what stages read and write."""
        stages = [step for step in self.candidate.program.steps if isinstance(step, PatchStage)]
        return frozenset(name for stage in stages for name in (*stage.inputs[:1], *stage.outputs))

    @property
    def narrow_calibration(self) -> Calibration:
        """Ranges of the class that takes fewer bits."""
        return self.calibrations[1]

    def classes_of(self, graph: Graph, samples: Dataset) -> list[Classes]:
        """By sample, the classes in which the cells run; `graph`: the float network."""
        if not self.is_dynamic:
            return [self.positions] * len(samples)
        return _tested(graph, samples, self.test, self.layers.program, self.stage)

    def uniform(self, program: Program) -> Candidate:
        """`program` (without stages) in the same patches, without classes."""
        return self._candidate(self._divided(program))

    def _divided(self, program: Program) -> Program:
        known = self.candidate
        on_demand = bool(known.program.on_demand)
        return divided(program, known.stages, known.channel_parts, on_demand=on_demand)

    def _candidate(self, program: Program) -> Candidate:
        selections = select_kernels(program, self.core, constant_bytes=self.constant_bytes)
        return replace(self.candidate, program=program, selections=selections)

    def branches(self, graph: Graph) -> tuple[Graph, Graph]:
        """The quantized `graph` with 8 bits in the stage, and with its own bits there; ranges of either class.

        `graph` has bits for all maps; those outside of the stage stay.
        """
        known = {name for cell in self.stage.cells for name in cell.regions}
        ends = {*self.stage.inputs, *self.stage.outputs}
        local = [name for name in graph.tensors if name in known - ends and graph.tensor(name).qparams is not None]
        bits = {name: qparams.bits for name in local if (qparams := graph.tensor(name).qparams)}
        wide = branch_graph(graph, self.calibrations[0], local, dict.fromkeys(local, 8))
        narrow = branch_graph(graph, self.calibrations[1], local, bits)
        for branch in (wide, narrow):
            verify(branch)
        return wide, narrow

    def program(self, branches: tuple[Graph, Graph]) -> Program:
        """The integer program of both branches.

        Raises:
            QuantMCUError: the two branches need different steps.
        """
        wide, narrow = (self._divided(lower(graph)) for graph in branches)
        try:
            if self.is_dynamic:
                return with_dynamic_classes(wide, narrow, self.test)
            return with_static_classes(wide, narrow, self.positions.tolist())
        except ValueError as error:
            raise QuantMCUError(
                "the two branches of the patch stage don't fit together",
                self.stage.layer,
                str(error),
                "end the stage earlier (--split-at), or compile with --vdpc off",
            ) from error

    def plan(self, program: Program, board: Board, budget: Budget) -> PlannedNetwork:
        """Kernels and memory of `program`, which has both branches.

        Raises:
            QuantMCUError: it does not fit.
        """
        candidate = self._candidate(program)
        try:
            memory = place(candidate, budget.regions)
        except DoesNotFitError as problem:
            raise ram_error(candidate.timeline, candidate.buffers, problem, budget, board) from problem
        notes = (*self._notes(), *_notes_of(_first_stage(program)))
        return PlannedNetwork(candidate, memory, self.layers, notes)

    def _notes(self) -> Iterator[str]:
        """What was done, and whether it makes sense."""
        cells = len(self.stage.cells)
        stage = describe_stage(self.candidate.stages[0], "recompute")
        if self.is_dynamic:
            yield (
                f"VDPC: {stage}: a patch keeps 8 bits where codes of {self.test.tensor} lie outside of "
                f"{self.test.low} .. {self.test.high}: {self.share * cells:.1f} of {cells} patches in the calibration "
                "data on average"
            )
        else:
            yield f"VDPC: {stage}: {int(self.positions.sum())} of {cells} patches keep 8 bits, by their position"
        if self.share == 0:
            yield "VDPC: no patch of the calibration data is of the outlier class; a lower --phi makes more so"
        if self.share == 1:
            yield "VDPC: every patch is of the outlier class, so nothing is saved; a higher --phi makes fewer so"


def _first_stage(program: Program) -> PatchStage:
    return next(step for step in program.steps if isinstance(step, PatchStage))


def _notes_of(stage: PatchStage) -> Iterator[str]:
    """What the user should know of the bits."""
    bits = {value.bits for cell in stage.narrow_cells for value in cell.values.values()}
    if bits <= {8}:
        yield "VDPC: by VDQS's score all maps of the narrow branch keep 8 bits: nothing is saved; a lower --lam saves"


def averaged(selections: Sequence[AnySelection], shares: Sequence[float]) -> list[AnySelection]:
    """The kernels as often as they run where the cells are of the outlier class in these shares of the inferences."""
    return [
        item.with_shares(shares)
        if isinstance(item, StageSelection) and isinstance(item.stage.classes, OutlierTest)
        else item
        for item in selections
    ]


def divide_patches(
    graph: Graph,
    calibration: Calibration,
    dataset: Dataset,
    board: Board,
    budget: Budget,
    patches: PatchRequest,
    request: ClassesRequest,
    optimize: Optimize,
    clock: StageClock,
) -> Division:
    """Chooses the stage and divides its patches.

    Args:
        graph: float.
        calibration: of it, over the first samples of `dataset`.
        dataset: calibration data.
        board, budget: to fit.
        patches: what the user wants of the stage.
        request: what the user wants of the classes.
        optimize: what the code shall be good at.
        clock: told how far it is.

    Raises:
        QuantMCUError: no stage with recomputed halos is possible, or none fits.
    """
    program = lower(quantize(graph, calibration))
    search = stage_search(program, board, budget, replace(patches, halo="recompute"), clock.advance, optimize)
    candidate = _stage_for_classes(search, patches, board, budget)
    stage = _first_stage(candidate.program)
    tensor = stage.inputs[0]
    qparams = program.values[tensor].qparams
    assert qparams is not None
    model = ValueModel.of(calibration.statistics[tensor].histogram)
    test = outlier_test(tensor, model, qparams, request.phi, request.fraction)
    samples = dataset.take(calibration.samples)
    by_sample = _tested(graph, samples, test, program, stage)
    counted = by_sample if request.mode != "static" else [static_classes(by_sample)] * len(by_sample)
    calibrations = calibrate_classes(graph, calibration, samples, stage.cells, counted)
    return Division(
        request,
        search.core,
        budget.safe_constant_bytes,
        search.layers,
        candidate,
        model,
        test,
        by_sample,
        calibrations,
    )


def _tested(
    graph: Graph, samples: Dataset, test: OutlierTest, program: Program, stage: PatchStage
) -> list[Classes]:
    """By sample, what the test says of the cells of `stage`; `program`: has the scale of what is tested."""
    qparams = program.values[test.tensor].qparams
    assert qparams is not None
    regions = [cell.regions[test.tensor] for cell in stage.cells]
    return [
        classify(test, qparams.quantize(values[test.tensor]), regions)
        for values in run_float(graph, samples, [test.tensor])
    ]


def _stage_for_classes(search: Search, patches: PatchRequest, board: Board, budget: Budget) -> Candidate:
    """The stage that takes the fewest BitOPs if half of its patches get half of the bits, of those that fit.

    Without a grid asked for it has 3x3 patches. If no such stage fits and nothing was asked for, the fastest plan.
    """
    asked = patches if patches.grid else replace(patches, patch=GRID)
    candidates = [c for c in single_stages(search, asked) if _macs_inside(c)]
    candidates.sort(key=_macs_with_narrow_patches)
    fitting = next((c for c in candidates if fits(c, budget)), None)
    if fitting is None and not patches.is_forced:
        candidates = [c for c in search.run() if c.stages and _macs_inside(c)]
        fitting = next((c for c in candidates if fits(c, budget)), None)
    if fitting is not None:
        return fitting
    if not candidates:
        raise QuantMCUError(
            "the network has no patch stage whose patches could be divided into classes",
            "",
            "no map early in it is all that the later layers need, its first layers need whole maps, or the stage is a "
            "single layer",
            "another --patch or --split-at, or --vdpc off",
        )
    smallest = min(candidates, key=lambda c: c.arena_bytes)
    raise QuantMCUError(
        f"no patch stage with recomputed halos fits: the smallest needs {smallest.arena_bytes:,} bytes of RAM for "
        f"feature maps, {board.id} has {budget.arena_bytes:,}",
        describe_stage(smallest.stages[0], "recompute"),
        "VDPC can't carry rows from patch to patch, which saves RAM",
        "more patches (--patch 6x6), another end (--split-at), or --vdpc off",
    )


def _macs_with_narrow_patches(candidate: Candidate) -> float:
    """Multiply-accumulates, where those inside the stage (behind its first maps) count three quarters."""
    return candidate.macs - _macs_inside(candidate) / 4


def _macs_inside(candidate: Candidate) -> int:
    """Multiply-accumulates with maps that may have fewer bits: those that the first stage makes and reads."""
    item = next(item for item in candidate.selections if isinstance(item, StageSelection))
    return sum(inner.macs for inner in item.selections if inner.step.inputs[0] not in item.stage.inputs)


