"""Samples that calibration does not see, and what a quantized network makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from quantmcu.data import Dataset
from quantmcu.data.dataset import Subset
from quantmcu.errors import UsageError
from quantmcu.ir import Graph
from quantmcu.parallel import in_parallel
from quantmcu.quant import AccuracyReport, compare, is_classifier
from quantmcu.quant.sessions import quantizing_session

_ONE_OF = 3
"""One sample of so many is held out."""


def held_out_split(dataset: Dataset, option: str) -> tuple[Dataset, Dataset]:
    """Two sets without a common sample: to calibrate with, and to measure on.

    Args:
        dataset: calibration data.
        option: what the user gave that asks for it.

    Raises:
        UsageError: too few samples for both.
    """
    if len(dataset) < _ONE_OF:
        raise UsageError(
            f"needs at least {_ONE_OF} calibration samples, one of {_ONE_OF} is held out; there are {len(dataset)}",
            option,
            hint="give more data to --calib; 100 samples resolve a drop of 3 points",
        )
    held = [index for index in range(len(dataset)) if index % _ONE_OF == 1]
    rest = [index for index in range(len(dataset)) if index % _ONE_OF != 1]
    return Subset(dataset, rest), Subset(dataset, held)


class HeldOut:
    """Compares networks with the float model on held-out samples, by ONNX Runtime on their QDQ form.

    Attributes:
        original: the float model as imported.
        samples: to measure on.
        is_classifier: whether shares of right classes, or of equal ones, mean something.
    """

    def __init__(self, original: Graph, samples: Dataset) -> None:
        self.original, self.samples = original, samples
        self.is_classifier = is_classifier(original)

    def report(self, graph: Graph) -> AccuracyReport:
        """Of the quantized `graph`."""
        return self.report_outputs(self._outputs(graph))

    def report_outputs(self, outputs: Iterable[Sequence[NDArray[np.generic]]]) -> AccuracyReport:
        """Of a network that gives these outputs, sample by sample."""
        labels = self.samples.labels if self.is_classifier else None
        return compare(
            self._float_outputs,
            outputs,
            self.original.outputs,
            labels=None if labels is None else [int(label) for label in labels],
            classifier=self.is_classifier,
        )

    @cached_property
    def _float_outputs(self) -> list[list[NDArray[np.generic]]]:
        return self._outputs(self.original)

    def _outputs(self, graph: Graph) -> list[list[NDArray[np.generic]]]:
        session = quantizing_session(graph)
        return list(in_parallel(lambda sample: session.run(None, dict(sample.inputs)), self.samples))
