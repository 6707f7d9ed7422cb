"""What bits a user asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from quantmcu.errors import UsageError
from quantmcu.quant.vdqs import DEFAULT_LAMBDA, Information

MIXED = (8, 4)
"""Bits of feature maps where a user says "mixed"; 2 bits leave little of the accuracy: only where they are named."""


def map_candidates(text: str) -> tuple[int, ...]:
    """Bits that feature maps may have, the most first: of "auto", "8", "mixed", or a list such as "8,4,2".

    Raises:
        UsageError: it says something else.
    """
    if text in ("auto", "mixed"):
        return MIXED
    hint = "auto, 8, mixed (8 or 4), or a list such as 8,4,2"
    if not re.fullmatch(r"[842](,[842])*", text):
        raise UsageError(f"unknown value '{text}'", "--bits", hint=hint)
    found = tuple(sorted({int(part) for part in text.split(",")}, reverse=True))
    if 8 not in found:
        why = "inputs, outputs and the maps between patches and the rest have 8 bits"
        raise UsageError(f"'{text}' leaves out 8", "--bits", why, hint)
    return found


def reconstruction_passes(text: str) -> float | None:
    """Passes over the calibration samples that a user asks for; None: "auto" or "off".

    Raises:
        UsageError: it is no number above 0 either.
    """
    if text in ("auto", "off"):
        return None
    try:
        passes = float(text)
    except ValueError:
        passes = 0.0
    if not 0 < passes <= 1000:
        raise UsageError(
            f"unknown value '{text}'",
            "--reconstruct",
            hint="auto, off, or a number of passes over the calibration samples",
        )
    return passes


@dataclass(frozen=True)
class BitsRequest:
    """What bits the user wants.

    Attributes:
        maps: "8"; or VDQS chooses among several: "mixed": 8 and 4; or a list that includes 8, such as "8,4,2"; or
            "auto": 8, and where that does not fit the RAM, as many of 4 as needed.
        weights: "8", "4", "2", or "auto": 8 where they fit the flash, else some layers 4, and where that is not
            enough 2.
        lam: weight of information against cost in the score of VDQS, 0 .. 1.
        information: what VDQS takes for information: "measured", "sqnr" or "entropy".
        cost: what VDQS saves: "bitops", or predicted "cycles": then only RAM makes it narrow maps that get slower.
        reduction: with several bits: weights and maps are lowered together, both to any of these bits, until the
            network takes so many times fewer BitOPs than with 8 bits and recomputed halos. With `cost` "cycles" by the
            least loss for each cycle saved, and no further than cycles fall.
        speedup: in its place with `cost` "cycles": until predicted cycles are so many times fewer than with 8-bit maps.
        reconstruct: "off"; or weights and biases are trained for the bits chosen (quantmcu/quant/reconstruct): a number
            of passes over the calibration samples; "auto": where weights or maps have fewer than 8 bits, as often as a
            budget of about one minute of computing allows.

    Raises:
        UsageError: a value is none of these.
    """

    maps: str = "8"
    weights: str = "auto"
    lam: float = DEFAULT_LAMBDA
    information: Information = "measured"
    reduction: float | None = None
    cost: str = "bitops"
    reconstruct: str = "off"
    speedup: float | None = None

    @cached_property
    def candidates(self) -> tuple[int, ...]:
        """Bits that feature maps may have, the most first."""
        return map_candidates(self.maps)

    @property
    def is_mixed(self) -> bool:
        """Whether maps of several bits are asked for."""
        return self.maps != "auto" and len(self.candidates) > 1

    @property
    def lowers_weights(self) -> bool:
        """Whether weights and maps are lowered together; else VDQS chooses the maps' bits by its score."""
        return self.reduction is not None or self.speedup is not None

    @property
    def most_reduction(self) -> float:
        """How many times fewer BitOPs the fewest bits of weights and maps give."""
        return (8 / self.candidates[-1]) ** 2

    def __post_init__(self) -> None:
        self.candidates  # noqa: B018  (refuses what is no list of bits)
        reconstruction_passes(self.reconstruct)
        for option, value, allowed in (
            ("--weight-bits", self.weights, ("auto", "8", "4", "2")),
            ("--information", self.information, ("measured", "sqnr", "entropy")),
        ):
            if value not in allowed:
                raise UsageError(f"unknown value '{value}'", option, hint=f"one of {', '.join(allowed)}")
        if not 0 <= self.lam <= 1:
            raise UsageError(f"{self.lam:g} is out of range", "--lam", hint="a number from 0 (cost) to 1 (information)")
        if self.reduction is None:
            return
        if not self.is_mixed:
            raise UsageError("needs --bits mixed", "--bitops-reduction", "8 bits everywhere leave nothing to choose")
        if not 1 <= self.reduction <= self.most_reduction:
            names = " and ".join(str(bits) for bits in self.candidates)
            raise UsageError(
                f"{self.reduction:g} times fewer BitOPs are not possible",
                "--bitops-reduction",
                f"{names} bits give at most {self.most_reduction:g} times fewer",
                f"give a number from 1 to {self.most_reduction:g}",
            )
