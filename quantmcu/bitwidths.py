"""Chooses the bits of weights (so that they fit the flash) and of feature maps (VDQS), and quantizes with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quantmcu.codegen.kernel import Core
from quantmcu.codegen.map_cycles import map_cycles
from quantmcu.codegen.select import flat, select_kernels
from quantmcu.data import Dataset
from quantmcu.errors import UsageError
from quantmcu.ir import Graph, ops
from quantmcu.ir.verify import verify
from quantmcu.memory.budget import Budget
from quantmcu.patch.candidate import Candidate
from quantmcu.patch.request import PatchRequest
from quantmcu.plan_data import recompute_macs
from quantmcu.planning import choose_plan
from quantmcu.program import steps
from quantmcu.program.bitops import bitops_of_a_bit, executed_steps, program_bitops
from quantmcu.program.lower import lower
from quantmcu.program.macs import step_macs
from quantmcu.program.program import Program
from quantmcu.program.stages import PatchStage
from quantmcu.progress import StageClock
from quantmcu.quant import (
    Calibration,
    InputMoments,
    WeightOption,
    choose_weight_bits,
    input_moments,
    measure_options,
    quantize,
    weight_bytes,
)
from quantmcu.quant.activations import activation_tensors
from quantmcu.quant.divergence import map_divergences
from quantmcu.quant.joint import Product, lower_together
from quantmcu.quant.map_costs import FeatureMap, feature_maps
from quantmcu.quant.map_memory import TimelineMemory
from quantmcu.quant.vdqs import DEFAULT_LAMBDA, Information, scores_of, search_bits, tensor_bits
from quantmcu.targets import Board
from quantmcu.vdpc import Division


@dataclass(frozen=True)
class BitsRequest:
    """What bits the user wants.

    Attributes:
        maps: "8", or "mixed": VDQS chooses among 8 and 4.
        weights: "8", "4", "2", or "auto": 8 where they fit the flash, else some layers 4.
        lam: weight of information against cost in the score of VDQS, 0 .. 1.
        information: what VDQS takes for information: "measured", "sqnr" or "entropy".
        cost: what VDQS saves: "bitops", or predicted "cycles": then only RAM makes it narrow maps that get slower.
        reduction: with mixed bits: weights and maps are lowered together until the network takes so many times fewer
            BitOPs than with 8 bits and recomputed halos; None: VDQS chooses by its score.

    Raises:
        UsageError: a value is none of these.
    """

    maps: str = "8"
    weights: str = "auto"
    lam: float = DEFAULT_LAMBDA
    information: Information = "measured"
    reduction: float | None = None
    cost: str = "bitops"

    def __post_init__(self) -> None:
        for option, value, allowed in (
            ("--bits", self.maps, ("8", "mixed")),
            ("--weight-bits", self.weights, ("auto", "8", "4", "2")),
            ("--information", self.information, ("measured", "sqnr", "entropy")),
        ):
            if value not in allowed:
                raise UsageError(f"unknown value '{value}'", option, hint=f"one of {', '.join(allowed)}")
        if not 0 <= self.lam <= 1:
            raise UsageError(f"{self.lam:g} is out of range", "--lam", hint="a number from 0 (cost) to 1 (information)")
        if self.reduction is None:
            return
        if self.maps != "mixed":
            raise UsageError("needs --bits mixed", "--bitops-reduction", "8 bits everywhere leave nothing to choose")
        if not 1 <= self.reduction <= 4:
            raise UsageError(
                f"{self.reduction:g} times fewer BitOPs are not possible",
                "--bitops-reduction",
                "8 and 4 bits give at most 4 times fewer",
                "give a number from 1 to 4",
            )


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """The network in integers.

    Attributes:
        graph: quantized.
        program: lowered from it, without patch stages.
        weight_bits, map_bits: by operator and by tensor, where they are not 8.
        search: what the search for the maps' bits did, for result.json; empty without search.
    """

    graph: Graph
    program: Program
    weight_bits: Mapping[str, int]
    map_bits: Mapping[str, int]
    search: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class BitChooser:
    """Everything that the choice depends on.

    Attributes:
        division: patches in two classes, bits are those of the narrow one.
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
    known: dict[Hashable, Any] = field(default_factory=dict)

    def choose(self, request: BitsRequest) -> QuantizedNetwork:
        """The quantized network.

        Raises:
            QuantMCUError: the weights don't fit the flash with any bits allowed.
        """
        network = self._with_chosen_weights(request.weights)
        if request.maps == "8":
            return network
        with self.clock.stage("map bits"):
            if request.reduction is not None:
                return self._with_fewer_bitops(network, request.reduction)
            return self._with_map_bits(network, request)

    def assign(self, weights: str, bits_of: Callable[[Sequence[FeatureMap]], Mapping[str, int]]) -> QuantizedNetwork:
        """A baseline: maps have the bits that `bits_of` gives them, by name; their costs are BitOPs.

        Raises:
            QuantMCUError: the weights don't fit the flash with any bits allowed.
        """
        network = self._with_chosen_weights(weights)
        _, _, maps = self._choice(network, "bitops")
        return self._with_maps_of(network, tensor_bits(maps, bits_of(maps)))

    def _with_chosen_weights(self, wanted: str) -> QuantizedNetwork:
        """With 8-bit maps."""
        key = ("weighted", wanted, self.budget.safe_constant_bytes)
        if key not in self.known:
            with self.clock.stage("quantize"):
                network = self._network(self._quantized())
            with self.clock.stage("weight bits"):
                self.known[key] = self._with_weight_bits(network, wanted)
        chosen: QuantizedNetwork = self.known[key]
        return chosen

    @staticmethod
    def _network(
        graph: Graph, maps: Mapping[str, int] | None = None, search: Mapping[str, Any] | None = None
    ) -> QuantizedNetwork:
        verify(graph)
        layers = {op.name: op.quantized.bits for op in graph.ops if isinstance(op, _Layer) and op.quantized}
        narrow = {name: bits for name, bits in layers.items() if bits < 8}
        return QuantizedNetwork(graph, lower(graph), narrow, maps or {}, search or {})

    def _with_weight_bits(self, network: QuantizedNetwork, wanted: str) -> QuantizedNetwork:
        layers = [op for op in self.graph.ops if isinstance(op, _Layer) and _can_be_narrow(op)]
        names = [op.name for op in layers]
        if wanted == "8" or not layers:
            return network
        if wanted != "auto":
            graph = self._quantized(dict.fromkeys(names, int(wanted)))
            return self._network(graph)
        stored = self._constant_bytes(network.program)
        room = self.budget.safe_constant_bytes
        if stored <= room:
            return network
        others = stored - sum(weight_bytes(op, 8) for op in layers)
        candidates = {8: network.graph, 4: self._quantized(dict.fromkeys(names, 4))}
        chosen = choose_weight_bits(self._weight_options(names), room - others)
        by_name = {bits: {op.name: op for op in graph.ops} for bits, graph in candidates.items()}
        mixed = network.graph.with_ops(by_name[chosen.get(op.name, 8)][op.name] for op in network.graph.ops)
        count = sum(bits < 8 for bits in chosen.values())
        self.clock.note(
            f"weights of 8 bits and tables need {stored:,} bytes of flash, {room:,} are there for them: "
            f"{count} of {len(names)} layers have weights of 4 bits"
        )
        return self._network(mixed)

    def _moments(self) -> Mapping[str, InputMoments]:
        """Of what the layers read whose weights can be narrow."""
        if "moments" not in self.known:
            layers = [op.name for op in self.graph.ops if isinstance(op, _Layer) and _can_be_narrow(op)]
            self.known["moments"] = input_moments(
                self.graph, self.dataset, layers, limit=self.calibration.samples, progress=self.clock.advance
            )
        moments: Mapping[str, InputMoments] = self.known["moments"]
        return moments

    def _quantized(self, weight_bits: Mapping[str, int] | None = None) -> Graph:
        """All layers rounded with 8-bit maps, weights of 8 bits where `weight_bits` says nothing else."""
        bits = dict(weight_bits or {})
        key = ("quantized", *sorted(bits.items()))
        if key not in self.known:
            self.known[key] = quantize(self.graph, self.calibration, weight_bits=bits, moments=self._moments())
        graph: Graph = self.known[key]
        return graph

    def _weight_options(self, names: Sequence[str]) -> tuple[WeightOption, ...]:
        """Bytes and losses of weights of 8 and 4 bits."""
        key = ("weights", *names)
        if key not in self.known:
            candidates = {8: self._quantized(), 4: self._quantized(dict.fromkeys(names, 4))}
            self.known[key] = measure_options(
                self.graph, candidates, self.dataset, names, progress=self.clock.advance
            )
        options: tuple[WeightOption, ...] = self.known[key]
        return options

    def _map_losses(self, maps: Sequence[FeatureMap]) -> Mapping[tuple[str, int], float]:
        """Measured loss by map and bits."""
        key = ("maps", *(m.name for m in maps))
        if key not in self.known:
            self.known[key] = map_divergences(
                self.graph, self.calibration, maps, self.dataset, progress=self.clock.advance
            )
        losses: Mapping[tuple[str, int], float] = self.known[key]
        return losses

    def _constant_bytes(self, program: Program) -> int:
        """Flash for weights and tables with the kernels of 8 bits."""
        core = Core.of(self.board)
        return sum(
            constant.data.nbytes
            for selection in flat(select_kernels(program, core))
            if selection.kernel is not None
            for constant in selection.kernel.lower(selection.context).constants
        )

    def _with_map_bits(self, network: QuantizedNetwork, request: BitsRequest) -> QuantizedNetwork:
        """VDQS over all maps, with the costs and the memory of the plan that 8 bits would get.

        Where patches have two classes, the maps inside the stage are those of the narrow one.
        """
        candidate, stages, maps = self._choice(network, request.cost)
        measured = self._map_losses(maps) if request.information == "measured" else {}
        channels = {name: tensor.shape[-1] for name, tensor in self.graph.tensors.items() if tensor.shape}
        memory = TimelineMemory(candidate.timeline, maps, channels, [stage.name for stage in stages])
        found = search_bits(
            maps,
            scores_of(maps, request.lam, request.information, measured),
            memory=memory,
            memory_limit=self.budget.arena_bytes,
        )
        search = {
            "lambda": request.lam,
            "information": request.information,
            "cost": request.cost,
            "bitops_of_8_bit_maps": program_bitops(candidate.program),
            "cycles_of_8_bit_maps": round(candidate.cycles),
            "peak_bytes": found.peak_bytes,
            "maps": [
                {"map": m.name, "bits": found.bits[m.name], "score": round(found.scores[m.name, found.bits[m.name]], 6)}
                for m in maps
            ],
        }
        return self._with_maps_of(network, tensor_bits(maps, found.bits), search)

    def _with_maps_of(
        self, network: QuantizedNetwork, bits: Mapping[str, int], search: Mapping[str, Any] | None = None
    ) -> QuantizedNetwork:
        """`network` with feature maps of these bits, by tensor."""
        narrow = {name: count for name, count in bits.items() if count < 8}
        return self._network(self._with_maps(network.graph, bits), narrow, search)

    def _choice(
        self, network: QuantizedNetwork, cost: str
    ) -> tuple[Candidate, list[PatchStage], tuple[FeatureMap, ...]]:
        """How 8-bit maps would run, its patch stages, and the maps whose bits can be chosen, with their costs."""
        candidate = self._candidate(network)
        calibration = self.calibration if self.division is None else self.division.narrow_calibration
        stages = [step for step in candidate.program.steps if isinstance(step, PatchStage)]
        stitched = frozenset(name for stage in stages for name in stage.outputs)
        fixed = stitched if self.division is None else self.division.fixed
        costs = self._map_costs(candidate.program, cost)
        return candidate, stages, feature_maps(self.graph, calibration, costs, fixed=fixed)

    def _candidate(self, network: QuantizedNetwork) -> Candidate:
        """How `network` with 8-bit maps would run."""
        if self.division is not None:
            return self.division.uniform(network.program)
        key = ("candidate", *sorted(network.weight_bits.items()))
        if key not in self.known:
            planned = choose_plan(network.program, self.board, self.budget, self.patches, may_overflow=True)
            self.known[key] = planned.candidate
        candidate: Candidate = self.known[key]
        return candidate

    def _map_costs(self, program: Program, cost: str) -> Mapping[tuple[str, int], float]:
        """BitOPs or predicted cycles by tensor and bits."""
        if cost == "cycles":
            return map_cycles(program, Core.of(self.board))
        return {(n, bits): float(c * bits) for n, c in bitops_of_a_bit(program).items() for bits in (8, 4)}

    def _with_fewer_bitops(self, network: QuantizedNetwork, reduction: float) -> QuantizedNetwork:
        """Weights and maps lowered together, by measured losses; weights that have fewer bits already keep them."""
        candidate = self._candidate(network)
        macs = Counter[str]()
        for step, _, output in executed_steps(candidate.program):
            if isinstance(step, steps.Convolution):
                macs[step.layer] += step_macs(step, output)
        stages = [step for step in candidate.program.steps if isinstance(step, PatchStage)]
        stitched = frozenset(name for stage in stages for name in stage.outputs)
        maps = feature_maps(self.graph, self.calibration, {}, fixed=stitched)
        owner = {name: m.name for m in maps for name in m.names}
        layers = [op for op in self.graph.ops if isinstance(op, _Layer)]
        names = [op.name for op in layers if _can_be_narrow(op)]
        narrow = self._quantized(dict.fromkeys(names, 4))
        options = [option for option in self._weight_options(names) if option.bits == 4]
        measured = self._map_losses(maps)
        recomputed = 64 * recompute_macs(candidate, network.program)
        products = [Product(op.name, macs[op.name], owner.get(op.inputs[0], op.inputs[0])) for op in layers]
        weight_losses = {option.layer: option.loss for option in options}
        weight_losses |= dict.fromkeys(network.weight_bits, 0.0)  # the flash has decided: first and for nothing
        found = lower_together(
            products, weight_losses, {name: loss for (name, _), loss in measured.items()}, recomputed / reduction
        )
        if found.bitops * reduction > recomputed:
            most = recomputed / found.bitops
            self.clock.note(f"weights and maps of 4 bits give {most:.2f} times fewer BitOPs at most")
        bits = tensor_bits(maps, {m.name: found.maps.get(m.name, 8) for m in maps})
        lowered = {name for name, count in found.weights.items() if count < 8} | set(network.weight_bits)
        graph = self._with_maps(network.graph, bits)
        known = {op.name: op for op in narrow.ops if op.name in lowered}
        search = {
            "bitops_of_8_bit_recompute": recomputed,
            "cycles_of_8_bit_maps": round(candidate.cycles),
            "bitops": found.bitops,
            "maps": [{"map": m.name, "bits": bits[m.name]} for m in maps],
        }
        narrow_maps = {name: count for name, count in bits.items() if count < 8}
        return self._network(graph.with_ops(known.get(op.name, op) for op in graph.ops), narrow_maps, search)

    def _with_maps(self, quantized: Graph, bits: Mapping[str, int]) -> Graph:
        """`quantized` with feature maps of these bits; the same integer weights."""
        return quantized.with_tensors(activation_tensors(self.graph, self.calibration, bits))


_Layer = ops.Conv2D | ops.Dense


def _can_be_narrow(op: ops.Conv2D | ops.Dense) -> bool:
    """Grouped and depthwise convolutions have few weights, each of which counts: they stay at 8 bits."""
    return isinstance(op, ops.Dense) or op.groups == 1
