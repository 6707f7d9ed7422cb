"""How far the network's outputs move when one of its parts alone is quantized: measured, in float arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from quantmcu.data import Dataset, Sample
from quantmcu.ir import Graph
from quantmcu.parallel import in_parallel
from quantmcu.quant.activations import activation_tensors, moved_groups, shared_qparams
from quantmcu.quant.calibrate import Progress
from quantmcu.quant.calibration import Calibration
from quantmcu.quant.map_costs import FeatureMap
from quantmcu.quant.sessions import quantizing_session
from quantmcu.quant.tails import tails

MAP_SAMPLES = 8
"""Samples on which the divergence of a feature map is measured."""


def divergences(graph: Graph, variants: Iterable[Graph], dataset: Dataset) -> Iterator[float]:
    """For each variant of the float `graph`, the noise to signal ratio of its outputs over `dataset`."""
    wanted = _outputs(graph, dataset)
    signal = max(float(np.sum(wanted**2)), np.finfo(np.float64).tiny)
    for variant in variants:
        yield float(np.sum((_outputs(variant, dataset) - wanted) ** 2)) / signal


def map_divergences(
    graph: Graph,
    calibration: Calibration,
    maps: Iterable[FeatureMap],
    dataset: Dataset,
    *,
    limit: int = MAP_SAMPLES,
    progress: Progress | None = None,
) -> Mapping[tuple[str, int], float]:
    """By feature map and bits below 8: the divergence when this map alone is quantized (8 bits count as none)."""
    dataset, maps = dataset.take(limit), list(maps)
    candidates = {m.name: [option.bits for option in m.options if option.bits < 8] for m in maps}
    total = sum(len(bits) for bits in candidates.values())
    found: dict[tuple[str, int], float] = {}

    def record(name: str, bits: int, loss: float) -> None:
        found[name, bits] = loss
        if progress is not None:
            progress(len(found), total)

    moved = moved_groups(graph)
    for tail in tails(graph, dataset, [m.name for m in maps if m.name in moved]):
        for bits in candidates[tail.name]:
            qparams = shared_qparams(graph, calibration, moved[tail.name], bits)
            record(tail.name, bits, tail.movement_when(qparams))
    joined = [(m, bits) for m in maps if m.name not in moved for bits in candidates[m.name]]
    variants = (_with_quantized_map(graph, calibration, m, bits) for m, bits in joined)
    for (m, bits), loss in zip(joined, divergences(graph, variants, dataset), strict=True):
        record(m.name, bits, loss)
    return found


def _with_quantized_map(graph: Graph, calibration: Calibration, feature_map: FeatureMap, bits: int) -> Graph:
    """The float graph in which only the tensors of `feature_map` have quantization parameters."""
    chosen = {t.name: t for t in activation_tensors(graph, calibration, dict.fromkeys(feature_map.names, bits))}
    others = [replace(tensor, qparams=None) for tensor in graph.tensors.values() if tensor.qparams is not None]
    return graph.with_tensors(others).with_tensors(chosen[name] for name in feature_map.names)


def _outputs(graph: Graph, dataset: Dataset) -> NDArray[np.float64]:
    """All outputs of all samples, float64 [samples, values]."""
    session = quantizing_session(graph)
    names = [name for name in graph.outputs if not graph.tensor(name).is_index]

    def outputs(sample: Sample) -> NDArray[np.float32]:
        return np.concatenate([np.ravel(output) for output in session.run(names, dict(sample.inputs))])

    return np.stack(list(in_parallel(outputs, dataset))).astype(np.float64)
