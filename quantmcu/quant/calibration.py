"""What calibration learns about the activations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from quantmcu.ir import Tensor
from quantmcu.quant.histogram import StreamingHistogram
from quantmcu.quant.ranges import DEFAULT_PERCENTILE, Range, RangeMethod, minmax_range, select_range


@dataclass(frozen=True, eq=False)
class TensorStatistics:
    """Distribution of one activation over the calibration set.

    Attributes:
        histogram: of all values.
        channel_minimum, channel_maximum, channel_mean: float64 [channels], the last axis of the IR's tensor.
    """

    histogram: StreamingHistogram
    channel_minimum: NDArray[np.float64]
    channel_maximum: NDArray[np.float64]
    channel_mean: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Statistics of the activations, and how ranges are chosen from them.

    Attributes:
        statistics: by tensor name; graph inputs and every operator's output, indices excepted.
        samples: number of inputs they come from.
        method, percentile: choice of a range.
        description: of the data.
        chosen: ranges by tensor and bits that take precedence over the method (`search_ranges`).
    """

    statistics: Mapping[str, TensorStatistics]
    samples: int
    method: RangeMethod
    percentile: float = DEFAULT_PERCENTILE
    description: str = ""
    chosen: Mapping[tuple[str, int], Range] = field(default_factory=dict)
    _selected: dict[tuple[str, int], Range] = field(default_factory=dict, init=False, repr=False)

    def range(self, tensor: Tensor, bits: int) -> Range:
        """Range to quantize `tensor` with, to `bits` bits; low <= 0 <= high.

        Below 8 bits a percentile so high wastes most codes on rare values: there, "mse" takes its place (measured on
        MobileNetV2 @144 with the maps of the first seven blocks at 4 bits: docs/bitwidths.md).
        """
        if tensor.data is not None:
            return min(float(tensor.data.min()), 0.0), max(float(tensor.data.max()), 0.0)
        if (tensor.name, bits) in self.chosen:
            return self.chosen[tensor.name, bits]
        if (tensor.name, bits) not in self._selected:
            method = "mse" if bits < 8 and self.method == "percentile" else self.method
            histogram = self.statistics[tensor.name].histogram
            self._selected[tensor.name, bits] = select_range(histogram, method, bits, self.percentile)
        return self._selected[tensor.name, bits]

    def observed(self, tensor: Tensor) -> Range:
        """Smallest and largest value seen, and 0."""
        return minmax_range(self.statistics[tensor.name].histogram)
