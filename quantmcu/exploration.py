"""Many choices of bits for a model, each with its BitOPs, predicted cycles and measured accuracy."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

from quantmcu.bitwidths import BitChooser, BitsRequest, QuantizedNetwork
from quantmcu.codegen.emit import emit_model
from quantmcu.codegen.select import predicted_cycles
from quantmcu.divided import DividedNetwork, divide_network
from quantmcu.errors import QuantMCUError, UsageError
from quantmcu.held_out import HeldOut
from quantmcu.ir import Graph, ops
from quantmcu.patch.request import PatchRequest
from quantmcu.pipeline import prepare_model
from quantmcu.plan_data import describe_bitops
from quantmcu.planning import PlannedNetwork
from quantmcu.progress import Progress, SilentProgress, StageClock, WithinStage
from quantmcu.quant import AccuracyReport
from quantmcu.quant.map_costs import FeatureMap
from quantmcu.quant.vdqs import DEFAULT_LAMBDA, random_bits, ranked_bits, uniform_bits
from quantmcu.request import CompileRequest
from quantmcu.targets import Board, load_board
from quantmcu.vdpc import ClassesRequest, averaged

LAMBDAS = (0.9, 0.8, 0.7, 0.6, 0.4, 0.2)
REDUCTIONS = (1.5, 2.0, 2.2, 2.5)
PHIS = (0.9, 0.96, 0.99)


@dataclass(frozen=True)
class Sweep:
    """What is tried beside 8 bits, weights of 4 bits, and the baselines.

    Attributes:
        lams: for the score of VDQS, 0 .. 1.
        reductions: for weights and maps lowered together: how many times fewer BitOPs, 1 .. 4 (16 with 2 bits).
        phis: for VDPC, between 0 and 1; None: PHIS where patches that can have classes are asked for, else none.
        bits: what maps may have: "mixed" (8 and 4) or a list such as "8,4,2".

    Raises:
        UsageError: neither, or a value is out of range.
    """

    lams: tuple[float, ...] = LAMBDAS
    reductions: tuple[float, ...] = REDUCTIONS
    phis: tuple[float, ...] | None = None
    bits: str = "mixed"

    def __post_init__(self) -> None:
        if not BitsRequest(self.bits).is_mixed:
            raise UsageError("leaves nothing to explore", "--bits", hint="mixed (8 or 4), or a list such as 8,4,2")
        for lam in self.lams:
            BitsRequest(self.bits, lam=lam)
        for reduction in self.reductions:
            BitsRequest(self.bits, reduction=reduction)
        if not self.lams:
            raise UsageError("no value", "--lam", hint=f"one or more numbers from 0 to 1, such as {DEFAULT_LAMBDA}")

    def classes(self, patches: PatchRequest) -> list[ClassesRequest]:
        """What VDPC is tried with.

        Raises:
            UsageError: a phi is out of range, or patches can't have classes.
        """
        possible = patches.is_forced and patches.halo in (None, "recompute")
        found = [ClassesRequest("dynamic", phi) for phi in (PHIS if possible else ()) if self.phis is None]
        found += [ClassesRequest("dynamic", phi) for phi in self.phis or ()]
        for request in found:
            request.check(True, None, patches)
        return found

    @property
    def middle(self) -> float:
        """The lambda of VDPC, and whose BitOPs the baselines shall reach."""
        return sorted(self.lams)[(len(self.lams) - 1) // 2]


@dataclass(frozen=True, eq=False)
class Variant:
    """A choice of bits.

    Attributes:
        family: "8 bits", "weights", "vdqs", "together", "vdpc" or "baseline".
        label: within all families.
        setting: lambda, reduction or phi; None: there is none.
        options: of `compile` that make it; None for baselines.
        choose: makes it.
        at_random: patches are drawn in place of those that the test finds.
    """

    family: str
    label: str
    setting: float | None
    options: str | None
    choose: Callable[[], QuantizedNetwork | DividedNetwork]
    at_random: bool = False


@dataclass(frozen=True, eq=False)
class Point:
    """A choice of bits and what it comes to on the board.

    Attributes:
        variant: the choice.
        weight_bits, map_bits: number of layers, and of feature maps, by bits; of maps only those below 8.
        bitops: multiply-accumulates times the bits of both factors; with classes of patches, on average.
        recomputed: BitOPs with 8 bits in the same patches with recomputed halos.
        cycles: predicted; with classes of patches, on average.
        arena_bytes, constant_bytes: RAM for feature maps, flash for weights and tables.
        fits: the board.
        accuracy: on the held-out samples.
    """

    variant: Variant
    weight_bits: Mapping[int, int]
    map_bits: Mapping[int, int]
    bitops: int
    recomputed: int
    cycles: int
    arena_bytes: int
    constant_bytes: int
    fits: bool
    accuracy: AccuracyReport

    @property
    def sqnr_db(self) -> float | None:
        """Of the output with the most noise; None without noise."""
        return min((o.sqnr_db for o in self.accuracy.outputs if o.sqnr_db is not None), default=None)

    @property
    def quality(self) -> tuple[float, float]:
        """Share of right (without labels: equal) classes, then the signal to noise ratio; the more the better."""
        found = self.accuracy
        share = found.quantized if found.quantized is not None else found.agreement
        return share or 0.0, math.inf if self.sqnr_db is None else self.sqnr_db


@dataclass(frozen=True, eq=False)
class Exploration:
    """All choices that were tried, the first one with 8 bits.

    Attributes:
        samples: number of held-out samples.
        data: where the samples are from.
        baseline_lambda: baselines have about as many BitOPs as VDQS with this one.
        seconds: that it took.
    """

    model: str
    board: Board
    points: tuple[Point, ...]
    samples: int
    data: str
    baseline_lambda: float
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        by_bitops, by_cycles = (unbeaten(self.points, cost) for cost in (lambda p: p.bitops, lambda p: p.cycles))
        reference = self.points[0].recomputed
        return {
            "model": self.model,
            "board": self.board.id,
            "clock_hz": self.board.clock_hz,
            "metric": self.points[0].accuracy.metric if self.points[0].accuracy.metric != "cosine" else "sqnr_db",
            "float": self.points[0].accuracy.float_,
            "samples": self.samples,
            "data": self.data,
            "baseline_lambda": self.baseline_lambda,
            "bitops_of_8_bit_recompute": reference,
            "points": [
                _described(point, reference, self.board.clock_hz)
                | {"unbeaten_in_bitops": index in by_bitops, "unbeaten_in_cycles": index in by_cycles}
                for index, point in enumerate(self.points)
            ],
            "seconds": round(self.seconds, 3),
        }


def _described(point: Point, reference: int, clock_hz: int) -> dict[str, Any]:
    found = point.accuracy
    return {
        "family": point.variant.family,
        "label": point.variant.label,
        "setting": point.variant.setting,
        "options": point.variant.options,
        "weight_bits": {str(bits): count for bits, count in sorted(point.weight_bits.items())},
        "narrow_maps": {str(bits): count for bits, count in sorted(point.map_bits.items())},
        "bitops": point.bitops,
        "bitops_reduction": round(reference / point.bitops, 4) if point.bitops else None,
        "cycles": point.cycles,
        "ms": round(point.cycles / clock_hz * 1e3, 6),
        "arena_bytes": point.arena_bytes,
        "constant_bytes": point.constant_bytes,
        "fits": point.fits,
        "accuracy": {"top1": found.quantized, "agreement": found.agreement, "sqnr_db": point.sqnr_db},
    }


def unbeaten(points: Sequence[Point], cost: Callable[[Point], float]) -> frozenset[int]:
    """Indices of the points that fit the board and that no other fitting one beats.

    A point beats those that are worse in cost or quality and no better in the other.
    """
    fitting = [index for index, point in enumerate(points) if point.fits]

    def beats(other: Point, point: Point) -> bool:
        worse = cost(other) > cost(point) or other.quality < point.quality
        return not worse and (cost(other) < cost(point) or other.quality > point.quality)

    return frozenset(i for i in fitting if not any(beats(points[j], points[i]) for j in fitting))


def explore_model(request: CompileRequest, sweep: Sweep, progress: Progress | None = None) -> Exploration:
    """Tries the choices of `sweep` on a model; a third of the calibration data is held out to measure them.

    Args:
        request: model, board, calibration data, patches; `weight_bits` and `information` hold for VDQS and baselines.
        sweep: what to try.
        progress: told of the stages.

    Raises:
        QuantMCUError: the model can't be compiled.
        UsageError: the request is wrong, or there are too few samples.
    """
    progress = progress or SilentProgress()
    clock = StageClock(progress)
    board = request.board if isinstance(request.board, Board) else load_board(request.board)
    wanted, classes = replace(request, bits=sweep.bits).bitwidths, sweep.classes(request.patches)
    prepared = prepare_model(request, board, clock, "explore")
    assert prepared.held_out is not None
    held_out = HeldOut(prepared.original, prepared.held_out)
    chooser = replace(prepared.chooser, clock=StageClock(WithinStage(progress)))
    divided = _divided_variants(chooser, replace(wanted, lam=sweep.middle), classes)
    variants = [*_variants(chooser, wanted, sweep), *divided]
    known: dict[object, Point] = {}
    points = []
    for number, variant in enumerate(variants, 1):
        with clock.stage(f"{number} of {len(variants)}: {variant.label}"):
            try:
                chosen = variant.choose()
                if isinstance(chosen, DividedNetwork):
                    points.append(_evaluate_divided(variant, chosen, chooser, held_out))
                    continue
            except QuantMCUError as error:
                if variant.family != "vdpc" and not variant.at_random:
                    raise
                clock.note(f"VDPC is left out: {error}")  # the other points are worth having without it
                continue
            key = tuple(sorted(chosen.weight_bits.items())), tuple(sorted(chosen.map_bits.items()))
            if key not in known:
                known[key] = _evaluate(variant, chosen, chooser, held_out)
            points.append(replace(known[key], variant=variant))
    data = prepared.held_out.description
    seconds = sum(clock.seconds.values())
    samples = len(prepared.held_out)
    return Exploration(request.model.name, board, tuple(points), samples, data, sweep.middle, seconds)


def _variants(chooser: BitChooser, wanted: BitsRequest, sweep: Sweep) -> Iterator[Variant]:
    """In the order in which they are tried."""

    def chosen(**changes: Any) -> Callable[[], QuantizedNetwork]:
        request = replace(wanted, **changes)
        return lambda: chooser.choose(request)

    yield Variant("8 bits", "8 bits", None, "--weight-bits 8", chosen(maps="8", weights="8"))
    for weights in dict.fromkeys((wanted.weights, "4")):
        if weights != "8":
            label = "weights auto" if weights == "auto" else f"weights of {weights} bits"
            yield Variant("weights", label, None, f"--weight-bits {weights}", chosen(maps="8", weights=weights))
    given, bits = _other_options(wanted), f"--bits {wanted.maps}"
    for lam in sweep.lams:
        yield Variant("vdqs", f"VDQS, lambda {lam:g}", lam, f"{bits} --lam {lam:g}{given}", chosen(lam=lam))
    for reduction in sweep.reductions:
        options = f"{bits} --bitops-reduction {reduction:g}{given}"
        yield Variant("together", f"together, {reduction:g} x", reduction, options, chosen(reduction=reduction))

    def budget_of_middle(maps: Sequence[FeatureMap]) -> float:
        bits = chosen(lam=sweep.middle, reconstruct="off")().map_bits
        return sum(m.option(bits.get(m.name, 8)).cost for m in maps)

    fewest = wanted.candidates[-1]
    baselines: dict[str, Callable[[Sequence[FeatureMap]], dict[str, int]]] = {
        **{f"all maps of {n} bits": partial(uniform_bits, bits=n) for n in wanted.candidates[1:]},
        "least error first": lambda maps: ranked_bits(maps, fewest, budget_of_middle(maps)),
        "maps at random": lambda maps: random_bits(maps, fewest, budget_of_middle(maps)),
    }
    for label, bits_of in baselines.items():
        choose = partial(chooser.assign, wanted.weights, bits_of, wanted.candidates, wanted.reconstruct)
        yield Variant("baseline", label, None, None, choose)


def _divided_variants(
    chooser: BitChooser, wanted: BitsRequest, classes: Sequence[ClassesRequest]
) -> Iterator[Variant]:
    """VDPC, each beside as many patches at random."""
    given = f"--bits {wanted.maps} --lam {wanted.lam:g}{_other_options(wanted)}"
    for request in classes:
        divided = cache(partial(divide_network, chooser, wanted, request))
        options = f"{given} --vdpc dynamic --phi {request.phi:g}"
        yield Variant("vdpc", f"VDPC, phi {request.phi:g}", request.phi, options, divided)
        yield Variant("baseline", f"random, as {request.phi:g}", None, None, divided, at_random=True)


def _other_options(wanted: BitsRequest) -> str:
    weights = "" if wanted.weights == "auto" else f" --weight-bits {wanted.weights}"
    return weights + (" --objective latency" if wanted.cost == "cycles" else "")


def _evaluate(variant: Variant, network: QuantizedNetwork, chooser: BitChooser, held_out: HeldOut) -> Point:
    """Plans it for the board, and measures it on the held-out samples."""
    planned = chooser.plan(network)
    return _point(variant, network, planned, chooser, held_out.report(network.graph))


def _evaluate_divided(variant: Variant, divided: DividedNetwork, chooser: BitChooser, held_out: HeldOut) -> Point:
    """The same with patches of two classes; BitOPs and cycles are averages over the calibration samples."""
    planned = divided.plan(chooser.board, chooser.budget)
    outputs = divided.outputs(chooser.graph, held_out.samples, at_random=variant.at_random)
    return _point(variant, divided.network, planned, chooser, held_out.report_outputs(outputs), divided)


def _point(
    variant: Variant,
    network: QuantizedNetwork,
    planned: PlannedNetwork,
    chooser: BitChooser,
    accuracy: AccuracyReport,
    divided: DividedNetwork | None = None,
) -> Point:
    chosen = planned.candidate
    emitted = emit_model(chosen.program, chosen.selections, chosen.timeline, planned.memory)
    bitops = describe_bitops(planned, network.program, divided)
    shares = () if divided is None else divided.division.shares
    return Point(
        variant,
        Counter(op.quantized.bits for op in _layers(network.graph) if op.quantized),
        Counter(network.map_bits.values()),
        round(bitops["average"]),
        bitops["uniform8_patched"],
        round(predicted_cycles(averaged(chosen.selections, shares))),
        chosen.arena_bytes,
        emitted.constant_bytes,
        planned.overflow is None and emitted.constant_bytes <= chooser.budget.constant_bytes,
        accuracy,
    )


def _layers(graph: Graph) -> Iterator[ops.Conv2D | ops.Dense]:
    return (op for op in graph.ops if isinstance(op, ops.Conv2D | ops.Dense))
