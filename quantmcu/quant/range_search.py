"""Ranges of activations by what they do to the network's outputs: measured, in float arithmetic."""

from __future__ import annotations

import math
from dataclasses import replace

from quantmcu.data import Dataset
from quantmcu.ir import Graph
from quantmcu.quant.activations import moved_groups
from quantmcu.quant.calibrate import Progress
from quantmcu.quant.calibration import Calibration
from quantmcu.quant.histogram import StreamingHistogram
from quantmcu.quant.ranges import Range, percentile_range, qparams_of_range
from quantmcu.quant.tails import Tail, tails

RANGE_SAMPLES = 16
"""Samples on which the movement of the outputs is measured."""

PERCENTILES = (99.0, 99.5, 99.8, 99.9, 99.97, 99.99, 99.997, 99.999, 100.0)
_START = PERCENTILES.index(99.99)


def search_ranges(
    graph: Graph,
    calibration: Calibration,
    dataset: Dataset,
    *,
    bits: int = 8,
    limit: int = RANGE_SAMPLES,
    progress: Progress | None = None,
) -> Calibration:
    """`calibration` with ranges for `bits` bits whose clipping and rounding move the network's outputs least.

    Each activation is quantized alone. Its percentile is raised or lowered while that makes the movement smaller. What
    matters of an activation is not known to itself: in MobileNetV2 the last residual maps hold large values that change
    nothing behind them, and the same percentile elsewhere costs accuracy.
    """
    groups = moved_groups(graph)
    chosen: dict[tuple[str, int], Range] = {}
    for done, tail in enumerate(tails(graph, dataset.take(limit), groups)):
        found = _best_range(tail, calibration.statistics[tail.name].histogram, bits)
        chosen |= {(name, bits): found for name in groups[tail.name]}
        if progress is not None:
            progress(done + 1, len(groups))
    return replace(calibration, chosen={**calibration.chosen, **chosen})


def _best_range(tail: Tail, histogram: StreamingHistogram, bits: int) -> Range:
    movements: dict[Range, float] = {}

    def movement(index: int) -> float:
        low, high = percentile_range(histogram, PERCENTILES[index])
        if (low, high) not in movements:
            least = min(movements.values(), default=math.inf)
            movements[low, high] = tail.movement_when(qparams_of_range(low, high, bits), least)
        return movements[low, high]

    for direction in (1, -1):
        index = _START
        while 0 <= index + direction < len(PERCENTILES) and movement(index + direction) <= movement(index):
            index += direction
        if index != _START:
            break
    return min(movements, key=lambda found: movements[found])
