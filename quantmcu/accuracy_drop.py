"""The fewest BitOPs, or predicted cycles, that keep the accuracy: measured on samples that calibration does not see."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from quantmcu.bitwidths import BitChooser, BitsRequest, QuantizedNetwork
from quantmcu.data import Dataset
from quantmcu.errors import QuantMCUError, UsageError
from quantmcu.held_out import HeldOut
from quantmcu.ir import Graph
from quantmcu.program.bitops import program_bitops
from quantmcu.quant import is_classifier

OPTION = "--max-accuracy-drop"
REDUCTIONS = (1.0, 1.15, 1.3, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 11.0, 16.0)
"""Candidates: how many times fewer BitOPs than with 8 bits, as far as the bits allow."""
SPEEDUPS = (1.0, *(1 + step / 50 for step in range(1, 13)), 1.3, 1.4, 1.5, 1.65, 1.8, 2.0, 2.5, 3.0)
"""The same for predicted cycles, as the cost models of single steps have them: no kernel saves as much as BitOPs do."""


def check_drop(points: float | None, bits: BitsRequest, vdpc: str) -> None:
    """Refuses what does not go together with a limit of `points`.

    Raises:
        UsageError: the points are out of range, or other options choose the bits.
    """
    if points is None:
        return
    if not 0 <= points <= 100:
        raise UsageError(f"{points:g} points are out of range", OPTION, hint="a number from 0 to 100")
    if not bits.is_mixed:
        raise UsageError("needs --bits mixed", OPTION, "8 bits everywhere leave nothing to choose")
    others = {"--bitops-reduction": bits.reduction is not None, f"--vdpc {vdpc}": vdpc in ("dynamic", "static")}
    for other, asked in others.items():
        if asked:
            raise UsageError(f"does not go with {other}", OPTION, "both choose the bits", "leave one of them out")


@dataclass(frozen=True, eq=False)
class DropLimit:
    """How many points the quantized network may lose.

    Attributes:
        points: of accuracy where the samples have labels, else of agreement with the float model.
        original: the float model as imported.
        held_out: samples to measure on.

    Raises:
        UsageError: the model is no classifier.
    """

    points: float
    original: Graph
    held_out: Dataset

    def __post_init__(self) -> None:
        if not is_classifier(self.original):
            raise UsageError(
                "the model is no classifier",
                OPTION,
                "its accuracy is not the share of right classes",
                "choose with --bits, --lam or --bitops-reduction, and look at `quantmcu validate`",
            )

    def drop(self, network: QuantizedNetwork) -> float:
        """Points lost by the network, by ONNX Runtime on its QDQ form."""
        report = self._measured.report(network.graph)
        if report.float_ is not None and report.quantized is not None:
            return 100 * (report.float_ - report.quantized)
        return 100 * (1 - (report.agreement or 0.0))

    @cached_property
    def _measured(self) -> HeldOut:
        return HeldOut(self.original, self.held_out)

    def choose(self, chooser: BitChooser, request: BitsRequest) -> QuantizedNetwork:
        """The network with the fewest BitOPs, or cycles where these are its cost, that keeps the limit.

        One of those that REDUCTIONS or SPEEDUPS give; the drop is taken to grow along them. Reconstruction takes
        minutes: a search by halves finds the limit without it; from there on networks are reconstructed and measured,
        one after another, until one loses too much.

        Raises:
            QuantMCUError: even without lowering more than the flash asks for, too much is lost.
        """
        tries = _Tries(self, chooser, request)
        numbers, possible = range(len(tries.factors)), tries.at(0).lost <= self.points
        kept = bisect_right(numbers, self.points, lo=1, key=lambda n: tries.at(n).lost) if possible else 1
        if request.reconstruct != "off":
            tries.reconstruct_from(kept - 1)
        best = min((tried for tried in tries.all if tried.lost <= self.points), key=tries.cost, default=None)
        if best is None:
            lost = tries.all[0].lost
            raise QuantMCUError(
                f"{lost:.1f} points are lost without saving any {tries.saved}, {self.points:g} are allowed",
                OPTION,
                f"measured on {len(self.held_out)} held-out samples; the flash may have asked for weights of 4 bits",
                "allow more, give more calibration data, or choose a board with more flash",
            )
        chooser.clock.note(
            f"{tries.described(best)} lose {best.lost:.1f} points on {len(self.held_out)} held-out samples "
            f"({'accuracy' if self.held_out.labels is not None else 'agreement with float'}), "
            f"{self.points:g} are allowed"
        )
        return best.network


@dataclass(frozen=True, eq=False)
class _Tried:
    """A network, the factor that asked for it, and the points that it loses."""

    factor: float
    network: QuantizedNetwork
    lost: float

    @property
    def bits(self) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """Of weights and maps."""
        return self.network.weight_bits, self.network.map_bits


class _Tries:
    """Networks of ever fewer BitOPs, or cycles, each chosen and measured once.

    Attributes:
        factors: how many times fewer are asked for.
        all: the networks tried so far; reconstructed ones first.
    """

    def __init__(self, limit: DropLimit, chooser: BitChooser, request: BitsRequest) -> None:
        self.limit, self.chooser, self.request = limit, chooser, request
        self.saves_cycles = request.cost == "cycles"
        self.factors = SPEEDUPS if self.saves_cycles else [x for x in REDUCTIONS if x <= request.most_reduction]
        self.all: list[_Tried] = []
        self._plain: dict[int, _Tried] = {}

    def at(self, number: int) -> _Tried:
        """What the factor of this number gives, without reconstruction; those beyond what is possible give the same."""
        if number not in self._plain:
            network = self._choose(self.factors[number], "off")
            found = _Tried(self.factors[number], network, math.nan)
            same = next((tried for tried in self._plain.values() if tried.bits == found.bits), None)
            self._plain[number] = same or replace(found, lost=self.limit.drop(network))
            if same is None:
                self.all.append(self._plain[number])
        return self._plain[number]

    def reconstruct_from(self, number: int) -> None:
        """From this factor on, one network after another, until one loses too much or nothing is left to lower."""
        before = None
        for factor in self.factors[number:]:
            bits = _Tried(factor, self._choose(factor, "off"), math.nan).bits
            if bits == before:
                continue
            before, network = bits, self._choose(factor, self.request.reconstruct)
            tried = _Tried(factor, network, self.limit.drop(network))
            if tried.lost > self.limit.points:
                return
            self.all.insert(0, tried)

    def _choose(self, factor: float, reconstruct: str) -> QuantizedNetwork:
        request = replace(self.request, reconstruct=reconstruct)
        request = replace(request, speedup=factor) if self.saves_cycles else replace(request, reduction=factor)
        return self.chooser.choose(request)

    @property
    def saved(self) -> str:
        """What is to be saved."""
        return "predicted cycles" if self.saves_cycles else "BitOPs"

    def cost(self, tried: _Tried) -> float:
        """BitOPs, or predicted cycles of the exact plan; what does not fit costs more than anything else."""
        if not self.saves_cycles:
            return program_bitops(tried.network.program)
        planned = self.chooser.plan(tried.network)
        return planned.candidate.cycles if planned.overflow is None else math.inf

    def described(self, tried: _Tried) -> str:
        """For people."""
        if not self.saves_cycles:
            search = tried.network.search  # the bits may not suffice for what was asked for
            return f"{search['bitops_of_8_bit_recompute'] / search['bitops']:.2f} times fewer BitOPs"
        cycles, eight = (self.chooser.plan(found.network).candidate.cycles for found in (tried, self.at(0)))
        return f"{cycles:,.0f} predicted cycles ({eight:,.0f} with 8-bit maps)"
