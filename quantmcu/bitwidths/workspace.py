"""What the choice of bits depends on, and what was worked out of it already."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from quantmcu.bitwidths.network import Layer, QuantizedNetwork, can_be_narrow, layers_of
from quantmcu.codegen.optimize import Optimize
from quantmcu.data import Dataset
from quantmcu.ir import Graph
from quantmcu.memory.budget import Budget
from quantmcu.patch.candidate import Candidate
from quantmcu.patch.request import PatchRequest
from quantmcu.planning import PlannedNetwork, choose_plan
from quantmcu.progress import StageClock
from quantmcu.quant import Calibration, InputMoments, WeightOption, input_moments, measure_options, quantize
from quantmcu.quant.activations import activation_tensors
from quantmcu.quant.divergence import map_divergences
from quantmcu.quant.map_costs import FeatureMap
from quantmcu.targets import Board
from quantmcu.vdpc import Division

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Workspace:
    """Everything that the choice of bits depends on.

    Attributes:
        division: patches in two classes, bits are those of the narrow one.
        optimize: what the code shall be good at.
        known: what was worked out already; several choices share it, those with other budgets or divisions too.
    """

    graph: Graph
    calibration: Calibration
    dataset: Dataset
    board: Board
    budget: Budget
    patches: PatchRequest
    clock: StageClock
    division: Division | None = None
    optimize: Optimize = "balanced"
    known: dict[Hashable, Any] = field(default_factory=dict)

    def once(self, key: Hashable, work_out: Callable[[], Result]) -> Result:
        """What `key` stands for, worked out the first time it is asked for."""
        if key not in self.known:
            self.known[key] = work_out()
        result: Result = self.known[key]
        return result

    @property
    def narrowable(self) -> list[Layer]:
        """The layers whose weights can have fewer than 8 bits."""
        return [op for op in layers_of(self.graph) if can_be_narrow(op)]

    def moments(self) -> Mapping[str, InputMoments]:
        """Of what the layers read whose weights can be narrow."""
        layers = [op.name for op in self.narrowable]
        return self.once(
            "moments",
            lambda: input_moments(
                self.graph, self.dataset, layers, limit=self.calibration.samples, progress=self.clock.advance
            ),
        )

    def quantized(self, weight_bits: Mapping[str, int] | None = None) -> Graph:
        """All layers rounded with 8-bit maps, weights of 8 bits where `weight_bits` says nothing else."""
        bits = dict(weight_bits or {})
        return self.once(
            ("quantized", *sorted(bits.items())),
            lambda: quantize(self.graph, self.calibration, weight_bits=bits, moments=self.moments()),
        )

    def with_maps(self, quantized: Graph, bits: Mapping[str, int]) -> Graph:
        """`quantized` with feature maps of these bits, by tensor; the same integer weights."""
        return quantized.with_tensors(activation_tensors(self.graph, self.calibration, bits))

    def narrow_weights(self, bits: int) -> Graph:
        """With 8-bit maps, and weights of `bits` bits where they can have fewer than 8."""
        return self.quantized({op.name: bits for op in self.narrowable} if bits < 8 else None)

    def with_weights(self, quantized: Graph, bits: Mapping[str, int]) -> Graph:
        """`quantized` with weights of these bits, by layer, in place of its own; the same maps."""
        known = {count: {op.name: op for op in self.narrow_weights(count).ops} for count in {*bits.values()}}
        return quantized.with_ops(known[bits[op.name]][op.name] if op.name in bits else op for op in quantized.ops)

    def weight_options(self, candidates: Sequence[int]) -> tuple[WeightOption, ...]:
        """Bytes and measured losses of weights of each of these bits."""
        names = [op.name for op in self.narrowable]

        def measured(bits: int) -> tuple[WeightOption, ...]:
            graphs = {bits: self.narrow_weights(bits)}
            with self.clock.stage("weight losses"):
                return measure_options(self.graph, graphs, self.dataset, names, progress=self.clock.advance)

        return tuple(option for n in candidates for option in self.once(("weights", n), partial(measured, n)))

    def map_losses(self, maps: Sequence[FeatureMap]) -> Mapping[tuple[str, int], float]:
        """Measured loss by map and bits."""

        def measured() -> Mapping[tuple[str, int], float]:
            with self.clock.stage("map losses"):
                return map_divergences(self.graph, self.calibration, maps, self.dataset, progress=self.clock.advance)

        return self.once(("maps", *((m.name, *(option.bits for option in m.options)) for m in maps)), measured)

    def uniform_candidate(self, network: QuantizedNetwork) -> Candidate:
        """How `network`, which has 8-bit maps, would run."""
        return self.plan(network).candidate if self.division is None else self.division.uniform(network.program)

    def plan(self, network: QuantizedNetwork) -> PlannedNetwork:
        """How `network` would run, without classes of patches; the smallest plan where none fits."""
        return self.once(
            ("plan", network.program, self.budget, self.patches, self.optimize),
            lambda: choose_plan(
                network.program, self.board, self.budget, self.patches, advance=self.clock.advance, may_overflow=True,
                optimize=self.optimize,
            ),
        )  # fmt: skip
