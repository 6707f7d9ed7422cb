"""What a user asks for of VDPC."""

from __future__ import annotations

from dataclasses import dataclass

from quantmcu.errors import UsageError
from quantmcu.patch.request import PatchRequest
from quantmcu.quant.vdpc import DEFAULT_PHI

MODES = ("auto", "off", "dynamic", "static")


@dataclass(frozen=True)
class ClassesRequest:
    """What the user wants of VDPC.

    Attributes:
        mode: "dynamic": decided at run time; "static": by position; "off"; "auto": see `is_tried`.
        phi: central mass of the values that are no outliers.
        fraction: a patch with more than this share of outliers is of the outlier class.

    Raises:
        UsageError: there is no such choice.
    """

    mode: str = "auto"
    phi: float = DEFAULT_PHI
    fraction: float = 0.0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UsageError(f"unknown value '{self.mode}'", "--vdpc", hint=f"one of {', '.join(MODES)}")
        if not 0 < self.phi < 1:
            hint = "a share between 0 and 1, such as 0.96"
            raise UsageError(f"{self.phi:g} is out of range", "--phi", hint=hint)
        if not 0 <= self.fraction < 1:
            hint = "a share from 0 (one outlier suffices) to below 1"
            raise UsageError(f"{self.fraction:g} is out of range", "--outlier-fraction", hint=hint)

    @property
    def is_asked_for(self) -> bool:
        """Whether the user wants classes, whatever they are worth."""
        return self.mode in ("dynamic", "static")

    def check(self, mixed: bool, reduction: float | None, patches: PatchRequest) -> None:
        """Refuses what contradicts the other options; `mixed`: maps may have fewer than 8 bits.

        Raises:
            UsageError: it does.
        """
        if not self.is_asked_for:
            return
        option = f"--vdpc {self.mode}"
        if not mixed:
            raise UsageError("needs --bits mixed", option, "with 8 bits everywhere both classes would be the same")
        if reduction is not None:
            why = "it lowers maps for the whole network, VDPC for some of the patches"
            raise UsageError("does not go with --bitops-reduction", option, why, "leave out one of them")
        if patches.patch == "off":
            raise UsageError("needs patches, and --patch is off", option, hint="leave out --patch off")
        if patches.halo not in (None, "recompute"):
            raise UsageError(
                f"does not go with --halo {patches.halo}",
                option,
                "cells of two classes have different scales: they can't hand rows to each other",
                "leave out --halo; VDPC computes halos again",
            )

    def is_tried(self, mixed: bool, reduction: float | None, patches: PatchRequest) -> bool:
        """Whether patches are divided: where asked for; by "auto" where a stage with recomputed halos is.

        By "auto" it is then taken only where it measures better than random patches (`quantmcu/pipeline.py`).
        """
        if self.mode != "auto":
            return self.mode != "off"
        return mixed and reduction is None and patches.is_forced and patches.halo == "recompute"
