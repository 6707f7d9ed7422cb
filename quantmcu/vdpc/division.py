"""The patches of a stage in two classes, and the program and plan that follow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from quantmcu.codegen.kernel import Core
from quantmcu.codegen.optimize import Optimize
from quantmcu.codegen.select import AnySelection, StageSelection, select_kernels
from quantmcu.data import Dataset
from quantmcu.errors import QuantMCUError
from quantmcu.ir import Graph
from quantmcu.ir.verify import verify
from quantmcu.memory.budget import Budget, ram_error
from quantmcu.memory.planner import DoesNotFitError
from quantmcu.patch.candidate import Candidate
from quantmcu.patch.classes import with_dynamic_classes, with_static_classes
from quantmcu.patch.request import PatchRequest
from quantmcu.patch.search import divided
from quantmcu.planning import PlannedNetwork, describe_stage, place, stage_search
from quantmcu.program.lower import lower
from quantmcu.program.program import Program
from quantmcu.program.stages import OutlierTest, PatchStage
from quantmcu.progress import StageClock
from quantmcu.quant import Calibration, quantize
from quantmcu.quant.calibrate import run_float
from quantmcu.quant.vdpc import (
    Classes,
    ValueModel,
    branch_graph,
    calibrate_classes,
    classify,
    outlier_test,
    static_classes,
)
from quantmcu.targets import Board
from quantmcu.vdpc.request import ClassesRequest
from quantmcu.vdpc.stage import stage_for_classes


@dataclass(frozen=True, eq=False)
class Division:
    """The patches of a stage in two classes.

    Attributes:
        request: what was asked for.
        core: to run on.
        constant_bytes: flash for weights, tables and generated code.
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
            error = ram_error(
                candidate.timeline, candidate.buffers, problem, budget, board, candidate.stage_names
            )
            raise error from problem
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
    candidate = stage_for_classes(search, patches, board, budget)
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
        budget.network_bytes,
        search.layers,
        candidate,
        model,
        test,
        by_sample,
        calibrations,
    )


def _tested(graph: Graph, samples: Dataset, test: OutlierTest, program: Program, stage: PatchStage) -> list[Classes]:
    """By sample, what the test says of the cells of `stage`; `program`: has the scale of what is tested."""
    qparams = program.values[test.tensor].qparams
    assert qparams is not None
    regions = [cell.regions[test.tensor] for cell in stage.cells]
    return [
        classify(test, qparams.quantize(values[test.tensor]), regions)
        for values in run_float(graph, samples, [test.tensor])
    ]
