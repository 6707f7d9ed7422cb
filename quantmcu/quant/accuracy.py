"""Accuracy of a quantized model beside the float one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantmcu.errors import UsageError
from quantmcu.ir import Graph

Outputs = Sequence[NDArray[np.generic]]
"""The outputs of one inference, in the model's order."""


@dataclass(frozen=True)
class OutputDifference:
    """Distance of one output from the float model's, over all samples.

    Attributes:
        name: of the output.
        cosine: mean over the samples of the cosine similarity; 1 where both are zero, 0 where only one is.
        mean_squared_error, largest_error: over all values.
        sqnr_db: signal to quantization noise ratio, decibels; None where one of them is 0.
    """

    name: str
    cosine: float
    mean_squared_error: float
    largest_error: float
    sqnr_db: float | None


@dataclass(frozen=True)
class AccuracyReport:
    """How well a quantized model does.

    Attributes:
        n: number of samples.
        metric: "top-1" where the model is a classifier with labels, "agreement" for one without labels, else "cosine".
        float_, quantized: the metric of either model; None without labels.
        agreement: share of samples for which both give the same class; None where the model is no classifier.
        outputs: difference of each output.
    """

    n: int
    metric: str
    float_: float | None
    quantized: float | None
    agreement: float | None
    outputs: tuple[OutputDifference, ...]

    def as_json(self) -> dict[str, object]:
        """The `accuracy` part of result.json."""
        return {
            "n": self.n,
            "metric": self.metric,
            "float": self.float_,
            "quantized": self.quantized,
            "agreement": self.agreement,
            "outputs": [vars(output) for output in self.outputs],
        }


def predicted_class(output: NDArray[np.generic]) -> int:
    """Index of the largest score; of an output that is an index already (ArgMax), that index."""
    return int(output.reshape(-1)[0]) if output.size == 1 else int(np.argmax(output))


def is_classifier(graph: Graph) -> bool:
    """Whether the only output looks like class scores, or is the index of a class.

    Scores are one vector of two or more values; one with as many values as the input is taken for a reconstruction.
    """
    if len(graph.outputs) != 1:
        return False
    output = graph.tensor(graph.outputs[0])
    if output.is_index:
        return output.elements == 1
    sizes = {graph.tensor(name).elements for name in graph.inputs}
    return 1 < output.elements == max(output.shape) and output.elements not in sizes


def compare(
    float_outputs: Iterable[Outputs],
    quantized_outputs: Iterable[Outputs],
    names: Sequence[str],
    *,
    labels: Iterable[int] | None = None,
    classifier: bool = False,
) -> AccuracyReport:
    """Compares the outputs of both models, sample by sample; keeps only sums.

    Args:
        float_outputs: of the original model in ONNX Runtime.
        quantized_outputs: of the integer program, dequantized, same order and shapes.
        names: of the outputs.
        labels: class of each sample; the model is a classifier then.
        classifier: whether the first output holds class scores, or a class index (see `is_classifier`).

    Raises:
        UsageError: no samples.
        ValueError: the two sides differ in number or shape.
    """
    sums = [_Sums() for _ in names]
    expected = None if labels is None else iter(labels)
    classifier = classifier or expected is not None
    samples = right_float = right_quantized = agreeing = 0
    for reference, candidate in zip(float_outputs, quantized_outputs, strict=True):
        for total, wanted, got in zip(sums, reference, candidate, strict=True):
            total.add(wanted, got)
        samples += 1
        if classifier:
            classes = predicted_class(reference[0]), predicted_class(candidate[0])
            agreeing += classes[0] == classes[1]
            if expected is not None:
                label = next(expected)
                right_float += classes[0] == label
                right_quantized += classes[1] == label
    if not samples:
        raise UsageError("there is no data to measure the accuracy with", hint="give at least one sample")
    labelled = labels is not None
    return AccuracyReport(
        n=samples,
        metric="top-1" if labelled else "agreement" if classifier else "cosine",
        float_=right_float / samples if labelled else None,
        quantized=right_quantized / samples if labelled else None,
        agreement=agreeing / samples if classifier else None,
        outputs=tuple(total.difference(name) for name, total in zip(names, sums, strict=True)),
    )


class _Sums:
    """Running sums for the difference of one output."""

    def __init__(self) -> None:
        self._samples = self._values = 0
        self._cosine = self._signal = self._noise = self._largest = 0.0

    def add(self, wanted: NDArray[np.generic], got: NDArray[np.generic]) -> None:
        if wanted.shape != got.shape:
            raise ValueError(f"outputs of shapes {wanted.shape} and {got.shape}")
        a, b = wanted.astype(np.float64).ravel(), got.astype(np.float64).ravel()
        error = b - a
        norms = float(np.linalg.norm(a)), float(np.linalg.norm(b))
        self._cosine += float(a @ b) / (norms[0] * norms[1]) if all(norms) else float(norms[0] == norms[1])
        self._signal += float(a @ a)
        self._noise += float(error @ error)
        self._largest = max(self._largest, float(np.abs(error).max(initial=0.0)))
        self._samples += 1
        self._values += a.size

    def difference(self, name: str) -> OutputDifference:
        ratio = self._signal / self._noise if self._noise else 0.0
        sqnr = 10 * math.log10(ratio) if ratio else None
        mse = self._noise / self._values if self._values else 0.0
        return OutputDifference(name, self._cosine / max(self._samples, 1), mse, self._largest, sqnr)
