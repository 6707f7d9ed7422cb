"""The fewest BitOPs that keep the accuracy: measured on samples that calibration does not see."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import cached_property

from quantmcu.bitwidths import BitChooser, BitsRequest, QuantizedNetwork
from quantmcu.data import Dataset
from quantmcu.errors import QuantMCUError, UsageError
from quantmcu.held_out import HeldOut
from quantmcu.ir import Graph
from quantmcu.quant import is_classifier

OPTION = "--max-accuracy-drop"
REDUCTIONS = (1.0, 1.15, 1.3, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 11.0, 16.0)
"""Candidates: how many times fewer BitOPs than with 8 bits, as far as the bits allow."""


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
        """The network with the fewest BitOPs among REDUCTIONS that keeps the limit; the drop is taken to grow too.

        Reconstruction takes minutes: a search by halves finds the limit without it; from there on networks are
        reconstructed and measured, one reduction after another, until one loses too much.

        Raises:
            QuantMCUError: even without lowering more than the flash asks for, too much is lost.
        """
        reductions = [x for x in REDUCTIONS if x <= request.most_reduction]
        found: dict[float, tuple[float, QuantizedNetwork]] = {}

        def drop(reduction: float, reconstruct: str = "off") -> float:
            network = chooser.choose(replace(request, reduction=reduction, reconstruct=reconstruct))
            found[reduction] = self.drop(network), network
            return found[reduction][0]

        first = drop(reductions[0])
        kept = bisect_right(reductions, self.points, lo=1, key=drop) if first <= self.points else 0
        reduction = reductions[max(kept - 1, 0)]
        lost, network = found[reduction]
        for tried in reductions[max(kept - 1, 0) :] if request.reconstruct != "off" else ():
            if drop(tried, request.reconstruct) > self.points:
                break
            reduction, (lost, network) = tried, found[tried]
        if lost > self.points:
            raise QuantMCUError(
                f"{lost:.1f} points are lost without saving any BitOPs, {self.points:g} are allowed",
                OPTION,
                f"measured on {len(self.held_out)} held-out samples; the flash may have asked for weights of 4 bits",
                "allow more, give more calibration data, or choose a board with more flash",
            )
        chooser.clock.note(
            f"{reduction:g} times fewer BitOPs lose {lost:.1f} points on {len(self.held_out)} held-out samples "
            f"({'accuracy' if self.held_out.labels is not None else 'agreement with float'}), "
            f"{self.points:g} are allowed"
        )
        return network
