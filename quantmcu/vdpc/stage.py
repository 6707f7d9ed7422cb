"""Chooses the patch stage whose patches are divided."""

from __future__ import annotations

from dataclasses import replace

from quantmcu.codegen.select import StageSelection
from quantmcu.errors import QuantMCUError
from quantmcu.memory.budget import Budget
from quantmcu.patch.candidate import Candidate
from quantmcu.patch.request import PatchRequest
from quantmcu.patch.search import Search
from quantmcu.planning import describe_stage, fits, single_stages
from quantmcu.targets import Board

GRID = "3x3"
"""Of the stage where none was asked for, as in the paper's figures."""


def stage_for_classes(search: Search, patches: PatchRequest, board: Board, budget: Budget) -> Candidate:
    """The stage that takes the fewest BitOPs if half of its patches get half of the bits, of those that fit.

    Without a grid asked for it has 3x3 patches. If no such stage fits and nothing was asked for, the fastest plan.
    """
    asked = patches if patches.grid else replace(patches, patch=GRID)
    candidates = [c for c in single_stages(search, asked) if _macs_inside(c)]
    candidates.sort(key=_macs_with_narrow_patches)
    fitting = next((c for c in candidates if fits(c, budget)), None)
    if fitting is None and not patches.is_forced:
        candidates = [c for c in search.run() if c.stages and _macs_inside(c)]
        fitting = next((c for c in candidates if fits(c, budget)), None)
    if fitting is not None:
        return fitting
    if not candidates:
        raise QuantMCUError(
            "the network has no patch stage whose patches could be divided into classes",
            "",
            "no map early in it is all that the later layers need, its first layers need whole maps, or the stage is a "
            "single layer",
            "another --patch or --split-at, or --vdpc off",
        )
    smallest = min(candidates, key=lambda c: c.arena_bytes)
    raise QuantMCUError(
        f"no patch stage with recomputed halos fits: the smallest needs {smallest.arena_bytes:,} bytes of RAM for "
        f"feature maps, {board.id} has {budget.arena_bytes:,}",
        describe_stage(smallest.stages[0], "recompute"),
        "VDPC can't carry rows from patch to patch, which saves RAM",
        "more patches (--patch 6x6), another end (--split-at), or --vdpc off",
    )


def _macs_with_narrow_patches(candidate: Candidate) -> float:
    """Multiply-accumulates, where those inside the stage (behind its first maps) count three quarters."""
    return candidate.macs - _macs_inside(candidate) / 4


def _macs_inside(candidate: Candidate) -> int:
    """Multiply-accumulates with maps that may have fewer bits: those that the first stage makes and reads."""
    item = next(item for item in candidate.selections if isinstance(item, StageSelection))
    return sum(inner.macs for inner in item.selections if inner.step.inputs[0] not in item.stage.inputs)
