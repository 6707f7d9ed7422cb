"""What the bits of a feature map change: the information in it (entropy), its error, and the cost of its readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantmcu.ir import Graph, QParams, Tensor
from quantmcu.quant.activations import fixed_qparams
from quantmcu.quant.calibration import Calibration
from quantmcu.quant.histogram import StreamingHistogram
from quantmcu.quant.ranges import qparams_of_range, quantization_errors
from quantmcu.quant.sharing import sharing_groups


@dataclass(frozen=True)
class MapOption:
    """A feature map at some number of bits.

    Attributes:
        bits: of each code.
        cost: BitOPs or cycles of the steps that read it.
        entropy: of its codes, bits.
        noise: mean squared quantization error over mean square, 10 ** (-SQNR / 10).
    """

    bits: int
    cost: float
    entropy: float
    noise: float


@dataclass(frozen=True)
class FeatureMap:
    """Tensors that share their quantization parameters, and so their bits.

    Attributes:
        names: of the tensors; the first one stands for all.
        options: by bits, the most bits first.
    """

    names: tuple[str, ...]
    options: tuple[MapOption, ...]

    @property
    def name(self) -> str:
        """Of the first tensor."""
        return self.names[0]

    def option(self, bits: int) -> MapOption:
        """The option of so many bits."""
        return next(option for option in self.options if option.bits == bits)


def feature_maps(
    graph: Graph,
    calibration: Calibration,
    costs: Mapping[tuple[str, int], float],
    *,
    candidates: Sequence[int] = (8, 4),
    fixed: frozenset[str] = frozenset(),
) -> tuple[FeatureMap, ...]:
    """The feature maps of `graph` whose bits can be chosen, in the order of their computation.

    Args:
        graph: float.
        calibration: of it.
        costs: by tensor and bits; what is missing costs nothing.
        candidates: bits to choose among; 8 is one of them.
        fixed: tensors that stay at 8 bits, beside the network's inputs and outputs.
    """
    given = {n: t.qparams for n, t in graph.tensors.items() if t.qparams is not None} | fixed_qparams(graph, 8)
    kept = {*graph.inputs, *graph.outputs, *fixed, *given}
    found = []
    for group in sharing_groups(graph, given):
        tensors = [graph.tensor(name) for name in group]
        if kept & set(group) or any(t.data is not None or t.is_index for t in tensors):
            continue
        options = tuple(_option(calibration, tensors, costs, bits) for bits in sorted(candidates, reverse=True))
        found.append(FeatureMap(group, options))
    return tuple(found)


def _option(
    calibration: Calibration, tensors: Sequence[Tensor], costs: Mapping[tuple[str, int], float], bits: int
) -> MapOption:
    ranges = [calibration.range(tensor, bits) for tensor in tensors]
    qparams = qparams_of_range(min(low for low, _ in ranges), max(high for _, high in ranges), bits)
    histograms = [calibration.statistics[tensor.name].histogram for tensor in tensors]
    return MapOption(
        bits,
        sum(costs.get((tensor.name, bits), 0.0) for tensor in tensors),
        sum(code_entropy(histogram, qparams) for histogram in histograms) / len(histograms),
        max(noise_ratio(histogram, qparams) for histogram in histograms),
    )


def code_entropy(histogram: StreamingHistogram, qparams: QParams) -> float:
    """Entropy, in bits, of the codes of the histogram's values (each bin's at its centre)."""
    edges = histogram.edges
    codes = qparams.quantize((edges[:-1] + edges[1:]) / 2)
    shares = np.bincount(codes, histogram.counts, minlength=qparams.highest_code + 1) / max(histogram.total, 1)
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def noise_ratio(histogram: StreamingHistogram, qparams: QParams) -> float:
    """Mean squared error of quantization over the mean square of the values; 0 where all are 0."""
    signal = _mean_square(histogram)
    if not signal:
        return 0.0
    low, high = qparams.range
    error = quantization_errors(histogram, np.array([low]), np.array([high]), qparams.bits)
    return float(error[0]) / signal


def _mean_square(histogram: StreamingHistogram) -> float:
    """Of the histogram's values, even in their bins."""
    edges: NDArray[np.float64] = histogram.edges
    squares = (edges[1:] ** 3 - edges[:-1] ** 3) / (3 * histogram.width)
    return float(squares @ histogram.counts) / max(histogram.total, 1)
