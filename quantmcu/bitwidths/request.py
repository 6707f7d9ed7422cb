"""What bits a user asks for."""

from __future__ import annotations

from dataclasses import dataclass

from quantmcu.errors import UsageError
from quantmcu.quant.vdqs import DEFAULT_LAMBDA, Information


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
