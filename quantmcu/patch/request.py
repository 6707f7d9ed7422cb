"""What a user asks for of patch stages."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from quantmcu.errors import UsageError
from quantmcu.patch.search import HALO_MODES
from quantmcu.program import steps
from quantmcu.program.program import Program

OBJECTIVES = ("latency", "ram")
"""What to give other things up for. Without one: the fastest plan that fits, and VDQS saves BitOPs, as the paper does;
"latency": VDQS saves predicted cycles; "ram": the plan with the least RAM."""


@dataclass(frozen=True)
class PatchRequest:
    """How to choose patch stages.

    Attributes:
        patch: "auto", "off", or a grid such as "3x3".
        split_at: node (or tensor) after which the only stage ends; None: chosen.
        halo: one of HALO_MODES; None: chosen.
        objective: one of OBJECTIVES, or None.
        input_on_demand: the network's input is not in RAM whole; the first stage asks for the parts that it needs.
    """

    patch: str = "auto"
    split_at: str | None = None
    halo: str | None = None
    objective: str | None = None
    input_on_demand: bool = False

    def __post_init__(self) -> None:
        """Refuses what contradicts itself.

        Raises:
            UsageError: an unknown word, or options that exclude each other.
        """
        if self.patch not in ("auto", "off"):
            self.grid  # noqa: B018  (checks it)
        if self.halo is not None and self.halo not in HALO_MODES:
            raise UsageError(f"{self.halo!r} is no halo mode", "--halo", hint=f"one of {', '.join(HALO_MODES)}")
        if self.objective is not None and self.objective not in OBJECTIVES:
            raise UsageError(
                f"{self.objective!r} is no objective", "--objective", hint=f"one of {', '.join(OBJECTIVES)}"
            )
        if self.patch == "off":
            asked = {"--split-at": self.split_at, "--halo": self.halo, "--input-on-demand": self.input_on_demand}
            for option, value in asked.items():
                if value:
                    raise UsageError(
                        "needs patches, and --patch is off", option, hint="leave out --patch off"
                    )

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns where a grid was given.

        Raises:
            UsageError: it is none.
        """
        if self.patch in ("auto", "off"):
            return None
        match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", self.patch)
        if match is None:
            raise UsageError(f"{self.patch!r} is no grid", "--patch", hint="auto, off, or rows x columns such as 3x3")
        return int(match[1]), int(match[2])

    @property
    def is_forced(self) -> bool:
        """One stage was asked for, by its grid, its end or both."""
        return self.grid is not None or self.split_at is not None


def find_step(program: Program, node: str) -> steps.Step:
    """The last step of a node of the model; it may also be named by a step or a tensor.

    Raises:
        UsageError: there is none; names similar ones.
    """
    found = [step for step in program.steps if node in (step.layer, step.name, step.output)]
    if found:
        return found[-1]
    names = list(dict.fromkeys(step.layer or step.name for step in program.steps))
    near = difflib.get_close_matches(node, names, n=3, cutoff=0.4)
    ending = [name for name in names if name.endswith(node) or node in name][:3]
    similar = list(dict.fromkeys([*ending, *near]))[:3]
    raise UsageError(
        f"the model has no node {node!r}",
        "--split-at",
        hint=f"did you mean {' or '.join(similar)}?" if similar else "`quantmcu inspect` lists the nodes",
    )
