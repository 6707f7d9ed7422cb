"""How far the network's outputs move when one of its parts alone is quantized: measured, in float arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from quantmcu.data import Dataset
from quantmcu.export import export_onnx
from quantmcu.ir import Graph
from quantmcu.quant.activations import activation_tensors
from quantmcu.quant.calibrate import Progress
from quantmcu.quant.calibration import Calibration
from quantmcu.quant.map_costs import FeatureMap

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
    pairs = [(m, option.bits) for m in maps for option in m.options if option.bits < 8]
    variants = (_with_quantized_map(graph, calibration, m, bits) for m, bits in pairs)
    found: dict[tuple[str, int], float] = {}
    for (m, bits), loss in zip(pairs, divergences(graph, variants, dataset.take(limit)), strict=True):
        found[m.name, bits] = loss
        if progress is not None:
            progress(len(found), len(pairs))
    return found


def _with_quantized_map(graph: Graph, calibration: Calibration, feature_map: FeatureMap, bits: int) -> Graph:
    """The float graph in which only the tensors of `feature_map` have quantization parameters."""
    chosen = {t.name: t for t in activation_tensors(graph, calibration, dict.fromkeys(feature_map.names, bits))}
    others = [replace(tensor, qparams=None) for tensor in graph.tensors.values() if tensor.qparams is not None]
    return graph.with_tensors(others).with_tensors(chosen[name] for name in feature_map.names)


def _outputs(graph: Graph, dataset: Dataset) -> NDArray[np.float64]:
    """All outputs of all samples, float64 [samples, values]."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Sessions live for a few runs: what the highest level saves is less than what it costs.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    model = export_onnx(graph, qdq=True).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [name for name in graph.outputs if not graph.tensor(name).is_index]
    samples = [
        np.concatenate([np.ravel(output) for output in session.run(names, dict(sample.inputs))]) for sample in dataset
    ]
    return np.stack(samples).astype(np.float64)
