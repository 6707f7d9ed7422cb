"""Warns of calibration data that never vary: ranges from them quantize nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from quantmcu.ir import Graph
from quantmcu.quant.calibration import Calibration


def constant_inputs(graph: Graph, calibration: Calibration) -> Iterator[str]:
    """A warning for each input of `graph` that has the same value everywhere in all samples of the calibration data."""
    for name in graph.inputs:
        if name not in calibration.statistics:
            continue  # indices
        histogram = calibration.statistics[name].histogram
        if histogram.minimum == histogram.maximum:
            yield (
                f"input {name}: every value of the calibration data is {histogram.minimum:g} (samples: "
                f"{calibration.samples}); the ranges chosen from them do not hold for real inputs, and the quantized "
                "model's outputs will be wrong. Give real, typical samples with --calib, and check the file and "
                "--preprocess"
            )
