"""One half of the images calibrates a network, the other one says what it is worth."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.bitwidths.costs import stage_layers
from benchmarks.bitwidths.evaluation import Evaluation, Outputs
from benchmarks.bitwidths.rows import EIGHT, Row
from quantmcu.bitwidths import BitChooser, BitsRequest, QuantizedNetwork
from quantmcu.bitwidths.maps import stages_of
from quantmcu.data import Dataset
from quantmcu.divided import DividedNetwork, divide_network
from quantmcu.export import export_onnx
from quantmcu.ir import Graph
from quantmcu.memory.budget import budget_of
from quantmcu.patch.candidate import Candidate
from quantmcu.patch.request import PatchRequest
from quantmcu.planning import choose_plan
from quantmcu.progress import SilentProgress, StageClock
from quantmcu.quant.map_costs import FeatureMap
from quantmcu.quant.patch_masks import stitched_outputs
from quantmcu.quant.prepare import PreparedGraph, prepare
from quantmcu.quant.vdpc import Classes, random_classes
from quantmcu.quant.vdqs import random_bits, ranked_bits, scores_of, search_bits, uniform_bits
from quantmcu.targets import Board

Network = QuantizedNetwork | DividedNetwork


@dataclass(frozen=True, eq=False)
class Half:
    """A network calibrated on one half of the images and measured on the other.

    Attributes:
        number: 0 or 1; seed of random choices.
        original: the float network.
        calibration, evaluation: without a common image.
        labels: of `evaluation`.
        board: to plan for.
        stage: the patches whose BitOPs the baselines equal.
        known: what was worked out already, for several rows.
    """

    number: int
    original: Graph
    calibration: Dataset
    evaluation: Dataset
    labels: Sequence[int]
    board: Board
    stage: PatchRequest
    known: dict[Hashable, Any] = field(default_factory=dict)

    @cached_property
    def _prepared(self) -> PreparedGraph:
        return prepare(self.original, self.calibration, clock=StageClock(SilentProgress()))

    @cached_property
    def chooser(self) -> BitChooser:
        """Of the bits, for the board's own plan."""
        found, budget = self._prepared, budget_of(self.board)
        clock = StageClock(SilentProgress())
        return BitChooser(found.graph, found.calibration, self.calibration, self.board, budget, PatchRequest(), clock)

    @cached_property
    def _float_outputs(self) -> list[Outputs]:
        return list(_outputs(self.original, self.evaluation))

    def choose(self, row: Row, missing: int = 0) -> Network:
        """The network of a row; `missing`: bytes of flash that the linker has missed.

        Raises:
            QuantMCUError: there is none.
        """
        budget = self.chooser.budget.with_less_flash(missing)
        chooser = replace(self.chooser, patches=row.patches, budget=budget)
        if row.choice != "request":
            return self._assigned(row)
        if row.classes is None:
            return chooser.choose(row.bits)
        key = row.bits, row.patches, row.classes, missing
        if key not in self.known:
            self.known[key] = divide_network(chooser, row.bits, row.classes)
        divided: DividedNetwork = self.known[key]
        return divided

    @cached_property
    def stage_candidate(self) -> Candidate:
        """8 bits in the patches of the stage."""
        program = self.chooser.choose(EIGHT).program
        return choose_plan(program, self.board, budget_of(self.board), self.stage, may_overflow=True).candidate

    @cached_property
    def stage_layers(self) -> frozenset[str]:
        """The layers in the stage."""
        return stage_layers(self.stage_candidate.selections)

    def _assigned(self, row: Row) -> QuantizedNetwork:
        """Maps lowered until their BitOPs are those of what the row shall equal."""

        def bits_of(maps: Sequence[FeatureMap]) -> Mapping[str, int]:
            uniform = self._equalled(row, maps)
            if row.choice == "uniform":
                return uniform
            target = sum(m.option(uniform[m.name]).cost for m in maps)
            if row.choice == "least error":
                return ranked_bits(maps, 4, target)
            if row.choice == "random":
                return random_bits(maps, 4, target, seed=self.number)
            measured = self.chooser.map_losses(maps) if row.bits.information == "measured" else {}
            scores = scores_of(maps, 1.0, row.bits.information, measured)  # by the target alone
            return search_bits(maps, scores, cost_target=target).bits

        return self.chooser.assign(row.bits.weights, bits_of)

    def _equalled(self, row: Row, maps: Sequence[FeatureMap]) -> Mapping[str, int]:
        if row.equal == "stage":
            stages = stages_of(self.stage_candidate)
            inside = {name for stage in stages for cell in stage.cells for name in cell.regions} - {
                name for stage in stages for name in stage.outputs
            }
            return {m.name: 4 if inside & set(m.names) else 8 for m in maps}
        if row.equal is None:
            return uniform_bits(maps, 4)
        bits = self.chooser.choose(BitsRequest("mixed", "8", row.equal)).map_bits
        return {m.name: bits.get(m.name, 8) for m in maps}

    def digest(self, row: Row, network: Network) -> str:
        """Of everything that determines `evaluate`: the same digest, the same figures."""
        graphs = network.branches if isinstance(network, DividedNetwork) else (network.graph,)
        models = [export_onnx(graph, qdq=True).SerializeToString(deterministic=True) for graph in graphs]
        masks = self._classes(row, network) if isinstance(network, DividedNetwork) else []
        images = f"{self.evaluation.description} {list(self.labels)}".encode()
        return hashlib.sha256(b"\0".join([*models, *(mask.tobytes() for mask in masks), images])).hexdigest()[:16]

    def evaluate(self, row: Row, network: Network) -> Evaluation:
        """On the images that did not calibrate, by ONNX Runtime on the exported QDQ model."""
        if isinstance(network, DividedNetwork):
            outputs: Iterator[Outputs] = stitched_outputs(
                self.chooser.graph, network.branches, network.division.stage, self.evaluation,
                self._classes(row, network),
            )  # fmt: skip
        else:
            outputs = _outputs(network.graph, self.evaluation)
        return Evaluation.of(self._float_outputs, outputs, self.labels)

    def _classes(self, row: Row, network: DividedNetwork) -> list[Classes]:
        """By image, the classes of the patches; the outlier class drawn where the row says so."""
        key = "classes", row.bits, row.patches, row.classes, network
        if key not in self.known:
            self.known[key] = network.division.classes_of(self.chooser.graph, self.evaluation)
        found: list[Classes] = self.known[key]
        if not row.at_random:
            return found
        tested = np.stack(found)
        return list(random_classes(tested.shape, float(tested.mean()), seed=self.number))


def _outputs(graph: Graph, samples: Dataset) -> Iterator[Outputs]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    model = export_onnx(graph, qdq=True).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    for sample in samples:
        yield session.run(None, dict(sample.inputs))
