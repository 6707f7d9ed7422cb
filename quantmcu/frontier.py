"""The frontier of a model on a board: RAM against multiply-accumulates and predicted latency."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantmcu.data import input_specs, open_dataset
from quantmcu.frontend import load_onnx, read_network
from quantmcu.memory.budget import Budget, budget_of, check_limits
from quantmcu.passes import simplify
from quantmcu.patch.request import PatchRequest
from quantmcu.plan_data import describe_candidate
from quantmcu.planning import plan_frontier
from quantmcu.program.lower import lower
from quantmcu.progress import Progress, SilentProgress, StageClock
from quantmcu.quant import calibrate, quantize
from quantmcu.targets import Board, load_board


@dataclass(frozen=True, eq=False)
class Frontier:
    """Ways to run a model, none of which another one beats in both RAM and predicted cycles; the fastest first.

    Attributes:
        plans: as in result.json (`plan`).
        chosen: index of the one that `compile` would take; None: none fits.
        seconds: that the search took.
    """

    model: str
    board: Board
    budget: Budget
    plans: tuple[dict[str, Any], ...]
    chosen: int | None
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "model": self.model,
            "board": self.board.id,
            "clock_hz": self.board.clock_hz,
            "arena_capacity_bytes": self.budget.arena_bytes,
            "frontier": list(self.plans),
            "chosen": self.chosen,
            "seconds": round(self.seconds, 3),
        }


def plan_model(
    model: Path, board: Board | str, request: PatchRequest, *, ram: int | None = None, progress: Progress | None = None
) -> Frontier:
    """The frontier of a model. Memory and cycles depend on its shapes, so it is quantized with random inputs.

    Raises:
        QuantMCUError: the model can't be compiled, or can't run in the patches asked for.
        UsageError: the request is wrong.
    """
    clock = StageClock(progress or SilentProgress())
    board = board if isinstance(board, Board) else load_board(board)
    check_limits(board, ram=ram)
    with clock.stage("import"):
        graph = simplify(load_onnx(read_network(model)))
    with clock.stage("quantize"):
        dataset = open_dataset("random", input_specs(graph), None)
        program = lower(quantize(graph, calibrate(graph, dataset, limit=1, progress=clock.advance)))
    with clock.stage("plan"):
        budget = budget_of(board, ram=ram)
        candidates, chosen = plan_frontier(program, board, budget, request, clock.advance)
    layers = candidates[0] if not candidates[0].stages else None
    reference = layers or plan_frontier(program, board, budget, PatchRequest("off"))[0][0]
    plans = tuple(describe_candidate(candidate, reference) for candidate in candidates)
    return Frontier(model.name, board, budget, plans, chosen, clock.seconds["plan"])
