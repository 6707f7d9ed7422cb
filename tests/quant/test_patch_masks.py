"""A choice of patches against random ones: the simulation is that of the whole QDQ models where a mask is uniform."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from small_networks import grouped_network

from quantmcu.data import Dataset
from quantmcu.export import export_onnx
from quantmcu.ir import Graph
from quantmcu.patch.stage import StagePlan, split_program
from quantmcu.program.lower import lower
from quantmcu.program.stages import PatchStage
from quantmcu.quant import calibrate, quantize
from quantmcu.quant.accuracy import compare
from quantmcu.quant.patch_masks import RANDOM_SEEDS, compare_masks
from quantmcu.quant.vdpc import branch_graph

CELLS = 6


def noise_of(graph: Graph, quantized: Graph, samples: Dataset) -> float | None:
    """SQNR of a whole quantized network."""

    def outputs(model: Graph, *, qdq: bool) -> list[list[np.ndarray]]:
        session = onnxruntime.InferenceSession(export_onnx(model, qdq=qdq).SerializeToString())
        return [session.run(list(graph.outputs), dict(sample.inputs)) for sample in samples]

    report = compare(outputs(graph, qdq=False), outputs(quantized, qdq=True), graph.outputs)
    return report.outputs[0].sqnr_db


def test_masks(images: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, samples = grouped_network(), images.take(10)
    calibration = calibrate(graph, images)
    wide = quantize(graph, calibration)
    narrow = branch_graph(wide, calibration, ("a", "b"), {"a": 4, "b": 4})
    program = split_program(lower(wide), [StagePlan("expand", (2, 3))])
    stage = next(step for step in program.steps if isinstance(step, PatchStage))
    half = [np.array([True, False] * 3)] * len(samples)
    seen: list[tuple[int, int]] = []
    found = compare_masks(graph, (wide, narrow), stage, samples, half, lambda done, total: seen.append((done, total)))
    results = {result.patches: result for result in found}
    assert list(results) == ["all", "vdpc", "random", "none"]
    assert [results[name].share for name in results] == [1.0, 0.5, 0.5, 0.0]
    assert {result.samples for result in found} == {10}
    assert results["all"].sqnr_db == pytest.approx(noise_of(graph, wide, samples), abs=1e-3)
    assert results["none"].sqnr_db == pytest.approx(noise_of(graph, narrow, samples), abs=1e-3)
    noises = {name: result.sqnr_db or 0.0 for name, result in results.items()}
    assert noises["none"] < noises["vdpc"] < noises["all"]
    assert noises["none"] < noises["random"] < noises["all"]
    assert seen[-1] == (10, 10)
    everywhere = compare_masks(graph, (wide, narrow), stage, samples, [np.ones(CELLS, np.bool_)] * 10)
    assert everywhere[1].sqnr_db == everywhere[2].sqnr_db == everywhere[0].sqnr_db, RANDOM_SEEDS

    monkeypatch.setattr("quantmcu.quant.patch_masks.MASK_SAMPLES", 4)
    assert compare_masks(graph, (wide, narrow), stage, samples, half)[0].samples == 4
    monkeypatch.setattr("quantmcu.quant.patch_masks.MASK_SECONDS", 0.0)
    assert compare_masks(graph, (wide, narrow), stage, samples, half)[0].samples == 1
