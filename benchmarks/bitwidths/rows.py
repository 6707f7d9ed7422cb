"""What is measured of a network: the rows of its tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from benchmarks.bitwidths.cases import Case
from quantmcu.bitwidths import BitsRequest
from quantmcu.patch.request import PatchRequest
from quantmcu.quant.vdqs import Information
from quantmcu.vdpc import ClassesRequest

EIGHT = BitsRequest("8", "8")
OWN_PLAN = PatchRequest()
PHIS = (0.9, 0.96, 0.98)
STATIC_PHIS = (0.95, 0.9)

Choice = Literal["request", "uniform", "least error", "random", "VDQS"]


@dataclass(frozen=True)
class Row:
    """A choice of bits.

    Attributes:
        section: of the table; its rows stand together.
        label: within its section.
        bits, patches, classes: what is asked for.
        at_random: of two classes of patches, the outlier class is drawn, as many as the test finds.
        choice: how maps get their bits: by the request; or so that their BitOPs are those of `equal`.
        equal: what the baselines shall equal: uniform 4 bits in the stage, or VDQS with this lambda; None: nothing, all
            maps have 4 bits.
        is_planned: kernels and memory are planned for the board; else BitOPs are those of the plan for 8 bits.
        is_emulated: with `--emulate`, the firmware is built and run.
        is_main: measured of every network.
    """

    section: str
    label: str
    bits: BitsRequest = EIGHT
    patches: PatchRequest = OWN_PLAN
    classes: ClassesRequest | None = None
    at_random: bool = False
    choice: Choice = "request"
    equal: float | Literal["stage"] | None = None
    is_planned: bool = True
    is_emulated: bool = False
    is_main: bool = False

    @property
    def name(self) -> str:
        """Unlike that of any other row."""
        return f"{self.section}: {self.label}"


SECTIONS = {
    "8 bits": "8 bits",
    "weights": "Weights of fewer bits, maps of 8",
    "maps": "Maps by VDQS, weights of 8 bits",
    "stage": "Equal BitOPs: those of uniform 4 bits in the stage; weights of 8 bits",
    "network": "Equal BitOPs: those of VDQS on all maps; weights of 8 bits",
    "VDPC": "Patches of two classes: 3x3, recomputed halos, weights auto",
    "both": "Weights and maps",
    "reconstructed": "Weights and biases reconstructed for the bits chosen (--reconstruct auto)",
    "latency": "Fewer predicted cycles (--objective latency); X times fewer BitOPs at most",
}
"""Titles."""

EIGHT_BITS = Row("8 bits", "own plan", is_emulated=True, is_main=True)
"""What every other row is compared with."""

FASTEST_PATCHES = Row("8 bits", "3x3 patches, halos recomputed", patches=PatchRequest("3x3", halo="recompute"))


def patched(case: Case) -> PatchRequest:
    """3x3 patches of the stage with recomputed halos."""
    return PatchRequest("3x3", case.split_at, "recompute")


def stage_reference(case: Case) -> Row:
    """8 bits in the patches of the stage: the reference of BitOPs and cycles."""
    label = f"3x3 patches to {case.stage_shape}, halos recomputed"
    return Row("8 bits", label, patches=patched(case), is_emulated=True, is_main=True)


def rows_of(case: Case) -> list[Row]:
    """In the order of the tables, 8 bits first."""
    rows = [
        EIGHT_BITS,
        replace(FASTEST_PATCHES, is_main=True),
        stage_reference(case),
        *_weights(),
        *_maps(),
        *_equal("stage", "stage"),
        *_equal("network", case.stage_lambda),
        *_classes(case),
        *_both(),
        *_latency(),
        *_reconstructed(),
    ]
    return [row for row in rows if row.is_main or case.is_whole]


def _weights() -> Iterator[Row]:
    yield Row("weights", "auto", BitsRequest("8"), is_emulated=True, is_main=True)
    yield Row("weights", "4 bits", BitsRequest("8", "4"), is_emulated=True, is_main=True)
    yield Row("weights", "2 bits", BitsRequest("8", "2"))


def _maps() -> Iterator[Row]:
    for lam in (0.9, 0.8, 0.6, 0.4):
        yield Row("maps", f"lambda {lam:g}", BitsRequest("mixed", "8", lam))
    yield Row("maps", "all of 4 bits", choice="uniform")


def _equal(section: str, equal: float | Literal["stage"]) -> Iterator[Row]:
    measures: dict[str, Information] = {"measured": "measured", "noise": "sqnr", "entropy": "entropy"}
    row = partial(Row, section, equal=equal, is_planned=False)
    if equal == "stage":
        yield row("uniform: the stage's maps", choice="uniform", is_main=True)
    for name, information in measures.items():
        bits = BitsRequest("mixed", "8", information=information)
        label = f"VDQS, {name}" if equal == "stage" else f"VDQS, {name}, as lambda {equal:g}"
        yield row(label, bits, choice="VDQS", is_main=name == "measured")
    yield row("least error of a map first", choice="least error", is_main=True)
    yield row("at random", choice="random", is_main=True)


def _classes(case: Case) -> Iterator[Row]:
    bits = BitsRequest("mixed", lam=case.stage_lambda)
    yield Row("VDPC", f"no classes, lambda {bits.lam:g}", bits, patched(case), is_emulated=True, is_main=True)
    requests = [ClassesRequest("dynamic", phi) for phi in PHIS] + [ClassesRequest("static", phi) for phi in STATIC_PHIS]
    for request in requests:
        is_main = request in (ClassesRequest("dynamic", 0.96), ClassesRequest("static", 0.95))
        label = f"{request.mode}, phi {request.phi:g}"
        row = Row("VDPC", label, bits, patched(case), request, is_emulated=True, is_main=is_main)
        yield row
        yield replace(row, label=random_label(row), at_random=True)


def random_label(row: Row) -> str:
    """Of the row with as many patches of the outlier class, drawn."""
    return f"{row.label}, random patches"


def _both() -> Iterator[Row]:
    yield Row("both", "auto, VDQS", BitsRequest("mixed"), is_emulated=True, is_main=True)
    yield Row("both", "4 bits, VDQS", BitsRequest("mixed", "4"), is_emulated=True, is_main=True)
    for reduction in (1.5, 2.0, 2.2, 2.5, 3.0):
        bits = BitsRequest("mixed", "8", reduction=reduction)
        is_main = reduction in (2.0, 2.2, 3.0)
        yield Row("both", f"together, {reduction:g} x", bits, is_emulated=reduction in (2.0, 3.0), is_main=is_main)
    yield Row("both", "all of 4 bits", BitsRequest("mixed", "4"), choice="uniform", is_emulated=True, is_main=True)
    for reduction in (2.5, 3.0, 4.0):
        yield Row("both", f"together, 8, 4, 2 bits, {reduction:g} x", BitsRequest("8,4,2", "8", reduction=reduction))


def _latency() -> Iterator[Row]:
    fast = PatchRequest(objective="latency")
    for weights in ("auto", "4"):
        bits = BitsRequest("mixed", weights, cost="cycles")
        label = "auto" if weights == "auto" else f"{weights} bits"
        yield Row("latency", f"weights {label}", bits, fast, is_emulated=weights == "4", is_main=True)
    for reduction in (2.0, 2.5, 3.0):
        bits = BitsRequest("mixed", reduction=reduction, cost="cycles")
        yield Row("latency", f"together from auto, {reduction:g} x", bits, fast, is_emulated=True, is_main=True)


def _reconstructed() -> Iterator[Row]:
    choices = {f"together, {x:g} x": BitsRequest("mixed", "8", reduction=x) for x in (2.0, 2.2, 2.5)}
    choices |= {"weights auto": BitsRequest("8"), "weights 4 bits": BitsRequest("8", "4")}
    for label, bits in choices.items():
        yield Row("reconstructed", label, replace(bits, reconstruct="auto"), is_main=bits.reduction in (2.0, 2.2))
    for reduction in (2.0, 2.5):
        bits = BitsRequest("mixed", reduction=reduction, cost="cycles", reconstruct="auto")
        label = f"together from auto, {reduction:g} x, for latency"
        yield Row("reconstructed", label, bits, PatchRequest(objective="latency"), is_main=True)
