"""From a float graph and calibration data to what quantization starts from: equalized channels and measured ranges."""

from __future__ import annotations

from dataclasses import dataclass

from quantmcu.data import Dataset
from quantmcu.ir import Graph
from quantmcu.progress import StageClock
from quantmcu.quant.calibrate import calibrate
from quantmcu.quant.calibration import Calibration
from quantmcu.quant.equalize import channel_extremes, equalize
from quantmcu.quant.range_search import search_ranges


@dataclass(frozen=True, eq=False)
class PreparedGraph:
    """A float graph that quantizes well; the same function as the one it was made from, up to rounding.

    Attributes:
        graph: its channels are equalized.
        calibration: of `graph`; ranges for 8 bits are those that move its outputs least.
    """

    graph: Graph
    calibration: Calibration


def prepare(graph: Graph, dataset: Dataset, *, clock: StageClock) -> PreparedGraph:
    """Equalizes the channels of the float `graph`, calibrates, and searches the ranges of 8 bits.

    Raises:
        UsageError: unusable data.
        QuantMCUError: an activation becomes NaN or infinite.
    """
    with clock.stage("calibrate"):
        graph = equalize(graph, channel_extremes(graph, dataset))
        calibration = calibrate(graph, dataset, progress=clock.advance)
    with clock.stage("ranges"):
        calibration = search_ranges(graph, calibration, dataset, progress=clock.advance)
    return PreparedGraph(graph, calibration)
