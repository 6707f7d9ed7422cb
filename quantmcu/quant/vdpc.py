"""VDPC: which patches hold outliers, and so keep 8 bits in their branch (arXiv 2401.13714).

The values of a tested tensor (the input of the stage) are taken for normally distributed, mean and deviation from
calibration. A value is an outlier when it lies outside the central mass phi: |x - mean| > z * deviation, z = quantile
of (1 + phi) / 2. A patch is of the outlier class when more than a stated fraction of its values (halo included) are
outliers. The paper is public in outline only: definitions where it is silent are ours. No advantage over a random one
of the same share of patches was measured (docs/bitwidths.md): `random_classes` is the baseline to show
beside it, and `patch_errors` a criterion by the patches' own quantization error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from quantmcu.data import Dataset
from quantmcu.errors import UsageError
from quantmcu.ir import Graph, QParams
from quantmcu.patch.region import Region
from quantmcu.program.stages import Cell, OutlierTest
from quantmcu.quant.activations import activation_tensors
from quantmcu.quant.calibrate import TensorRecorder, run_float
from quantmcu.quant.calibration import Calibration
from quantmcu.quant.histogram import StreamingHistogram

DEFAULT_PHI = 0.96

Classes = NDArray[np.bool_]
"""By cell: whether it is of the outlier class."""


@dataclass(frozen=True)
class ValueModel:
    """Normal distribution of the values of a tensor."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, histogram: StreamingHistogram) -> ValueModel:
        """Mean and deviation of a histogram's values, each bin's at its centre."""
        edges = histogram.edges
        centres = (edges[:-1] + edges[1:]) / 2
        total = max(histogram.total, 1)
        mean = float(centres @ histogram.counts) / total
        return cls(mean, float(np.sqrt(((centres - mean) ** 2) @ histogram.counts / total)))

    def bounds(self, phi: float) -> tuple[float, float]:
        """The interval around the mean that holds the share `phi` of a normal distribution.

        Raises:
            UsageError: phi is not between 0 and 1.
        """
        if not 0 < phi < 1:
            raise UsageError(f"phi {phi:g} is out of range", "--phi", hint="give a share between 0 and 1, such as 0.96")
        reach = NormalDist().inv_cdf((1 + phi) / 2) * self.deviation
        return self.mean - reach, self.mean + reach


def outlier_test(tensor: str, model: ValueModel, qparams: QParams, phi: float, fraction: float = 0.0) -> OutlierTest:
    """The test on codes: a code is an outlier when the value that it stands for is one."""
    low, high = model.bounds(phi)
    reals = qparams.dequantize(np.arange(qparams.highest_code + 1))
    inside = np.flatnonzero((reals >= low) & (reals <= high))
    if not len(inside):  # the interval lies between two codes
        return OutlierTest(tensor, 1, 0, fraction)
    return OutlierTest(tensor, int(inside[0]), int(inside[-1]), fraction)


def classify(test: OutlierTest, codes: NDArray[np.uint8], regions: Sequence[Region]) -> Classes:
    """Classes of the cells of one input: `codes` of the tested tensor [1, H, W, C], and each cell's region of it."""
    return np.array(
        [test.is_outlier(codes[:, r.rows.start : r.rows.stop, r.columns.start : r.columns.stop]) for r in regions]
    )


def static_classes(by_sample: Sequence[Classes], share: float = 0.5) -> Classes:
    """Classes by position: a cell is of the outlier class when it was in at least this share of the samples."""
    return np.asarray(np.mean(np.stack(by_sample), axis=0) >= share)


def random_classes(shape: tuple[int, ...], share: float, seed: int = 0) -> Classes:
    """Baseline: as many cells of the outlier class, anywhere."""
    classes = np.zeros(int(np.prod(shape)), np.bool_)
    count = round(share * classes.size)
    classes[np.random.default_rng(seed).permutation(classes.size)[:count]] = True
    return classes.reshape(shape)


def patch_errors(
    values: NDArray[np.float32], narrow: QParams, regions: Sequence[Region]
) -> NDArray[np.float64]:
    """A criterion of the patches' own: the mean squared error of the narrow quantization of a map in each region.

    Args:
        values: of one feature map of the branch [1, H, W, C].
        narrow: its quantization in the branch of few bits.
        regions: of that map, by cell.
    """
    errors = (narrow.dequantize(narrow.quantize(values)) - values) ** 2
    return np.array(
        [errors[:, r.rows.start : r.rows.stop, r.columns.start : r.columns.stop].mean() for r in regions], np.float64
    )


def largest_classes(scores: NDArray[np.float64], share: float) -> Classes:
    """The share of cells with the largest scores; ties go to the earlier cell."""
    order = np.argsort(-scores.ravel(), kind="stable")[: round(share * scores.size)]
    classes = np.zeros(scores.size, np.bool_)
    classes[order] = True
    return classes.reshape(scores.shape)


def calibrate_classes(
    graph: Graph,
    calibration: Calibration,
    dataset: Dataset,
    cells: Sequence[Cell],
    by_sample: Sequence[Classes],
) -> tuple[Calibration, Calibration]:
    """Calibrations of the outlier class and of the other one: of each local map, over the patches of the class.

    Args:
        graph: float.
        calibration: of all; stands for a class without patches, and for everything outside of the cells.
        dataset: one sample for each entry of `by_sample`.
        cells: of the stage.
        by_sample: by sample, the classes of the cells.
    """
    names = [n for n in dict.fromkeys(n for cell in cells for n in cell.regions) if n in calibration.statistics]
    recorders = {name: (TensorRecorder(), TensorRecorder()) for name in names}
    for activations, classes in zip(run_float(graph, dataset.take(len(by_sample)), names), by_sample, strict=True):
        for cell, is_outlier in zip(cells, classes, strict=True):
            for name in names:
                region = cell.regions.get(name)
                if region is not None and not region.is_empty:
                    rows, columns = region.rows, region.columns
                    part = activations[name][:, rows.start : rows.stop, columns.start : columns.stop]
                    recorders[name][0 if is_outlier else 1].add(part)
    found = []
    for branch in range(2):
        seen = {name: pair[branch].statistics() for name, pair in recorders.items() if pair[branch].count}
        chosen = {key: found_range for key, found_range in calibration.chosen.items() if key[0] not in seen}
        found.append(replace(calibration, statistics={**calibration.statistics, **seen}, chosen=chosen))
    return found[0], found[1]


def branch_graph(
    quantized: Graph, calibration: Calibration, local: Sequence[str], bits: Mapping[str, int]
) -> Graph:
    """`quantized` with its tensors `local` quantized anew, by a class's calibration and to these bits; same weights."""
    free = quantized.with_tensors(replace(quantized.tensor(name), qparams=None) for name in local)
    return quantized.with_tensors(activation_tensors(free, calibration, bits))
