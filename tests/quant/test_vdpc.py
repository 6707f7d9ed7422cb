"""VDPC: the model of values, classes of patches, and stages of two branches in the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_networks import grouped_network

from quantmcu.data import Dataset
from quantmcu.errors import UsageError
from quantmcu.ir import Graph, QParams
from quantmcu.patch.classes import with_dynamic_classes, with_static_classes
from quantmcu.patch.region import Interval, Region
from quantmcu.patch.stage import StagePlan, split_program
from quantmcu.program.lower import lower
from quantmcu.program.program import Program
from quantmcu.program.serialize import load_program, save_program
from quantmcu.program.stages import OutlierTest, PatchStage
from quantmcu.quant import Calibration, calibrate, quantize
from quantmcu.quant.histogram import StreamingHistogram
from quantmcu.quant.vdpc import (
    ValueModel,
    branch_graph,
    calibrate_classes,
    classify,
    largest_classes,
    outlier_test,
    patch_errors,
    random_classes,
    static_classes,
)
from quantmcu.reference import execute

LOCAL = ("a", "b")


def stage_of(program: Program) -> PatchStage:
    return next(step for step in program.steps if isinstance(step, PatchStage))


def patched(graph: Graph) -> Program:
    return split_program(lower(graph), [StagePlan("expand", (2, 3))])


@pytest.fixture(scope="module")
def calibration(images: Dataset) -> Calibration:
    return calibrate(grouped_network(), images)


@pytest.fixture(scope="module")
def branches(calibration: Calibration) -> tuple[Program, Program]:
    """The network with all 8 bits, and with the stage's inner maps at 4."""
    base = quantize(grouped_network(), calibration)
    return patched(base), patched(branch_graph(base, calibration, LOCAL, dict.fromkeys(LOCAL, 4)))


def inputs_of(images: Dataset, program: Program, index: int) -> dict[str, np.ndarray]:
    sample = images[index].inputs["x"].transpose(0, 2, 3, 1)
    qparams = program.values["x"].qparams
    assert qparams is not None
    return {"x": qparams.quantize(sample)}


def test_model_and_test_on_codes() -> None:
    histogram = StreamingHistogram()
    histogram.add(np.random.default_rng(0).normal(3.0, 2.0, 50_000).astype(np.float32))
    model = ValueModel.of(histogram)
    assert model.mean == pytest.approx(3.0, abs=0.05)
    assert model.deviation == pytest.approx(2.0, abs=0.05)
    low, high = ValueModel(3.0, 2.0).bounds(0.96)
    assert (low, high) == (pytest.approx(3 - 2.0537 * 2, abs=1e-3), pytest.approx(3 + 2.0537 * 2, abs=1e-3))
    test = outlier_test("x", ValueModel(0.0, 1.0), QParams(8, 0.1, 100), 0.9545)
    assert (test.low, test.high) == (80, 120)
    assert not test.is_outlier(np.array([80, 120], np.uint8))
    assert test.is_outlier(np.array([100, 121], np.uint8))
    assert not OutlierTest("x", 80, 120, 0.5).is_outlier(np.array([100, 121], np.uint8))
    with pytest.raises(UsageError, match="phi 1 is out of range"):
        model.bounds(1.0)


def test_classes_by_position_and_at_random() -> None:
    regions = [Region(Interval(y, y + 2), Interval(x, x + 2)) for y in (0, 2) for x in (0, 2)]
    codes = np.full((1, 4, 4, 3), 100, np.uint8)
    codes[0, 1, 3, 2] = 200
    assert classify(OutlierTest("x", 50, 150), codes, regions).tolist() == [False, True, False, False]
    some = [np.array([True, False, True]), np.array([True, True, False]), np.array([False, False, True])]
    assert static_classes(some).tolist() == [True, False, True]
    mask = random_classes((3, 4), 0.25, seed=1)
    assert mask.sum() == 3
    assert mask.shape == (3, 4)
    errors = patch_errors(codes.astype(np.float32), QParams(4, 10.0, 0), regions)
    assert largest_classes(errors, 0.25).tolist() == [False, True, False, False]


def test_static_classes_stitch_the_two_branches(branches: tuple[Program, Program], images: Dataset) -> None:
    wide, narrow = branches
    inputs = inputs_of(images, wide, 3)
    whole = [execute(program, inputs, keep_all=True)["c"] for program in branches]
    assert (whole[0] != whole[1]).any()
    classes = [True, False, False, True, True, False]
    mixed = with_static_classes(wide, narrow, classes)
    stitched = execute(mixed, inputs, keep_all=True)["c"]
    for cell, is_outlier in zip(stage_of(mixed).cells, classes, strict=True):
        region = cell.results["c"]
        rows, columns = region.rows, region.columns
        part = (slice(None), slice(rows.start, rows.stop), slice(columns.start, columns.stop))
        np.testing.assert_array_equal(stitched[part], whole[0 if is_outlier else 1][part])


def test_dynamic_classes_follow_the_codes(
    branches: tuple[Program, Program], images: Dataset, tmp_path: Path
) -> None:
    wide, narrow = branches
    qparams = wide.values["x"].qparams
    assert qparams is not None
    test = outlier_test("x", ValueModel(0.0, 1.0), qparams, 0.7, fraction=0.3)
    dynamic = with_dynamic_classes(wide, narrow, test)
    regions = [cell.regions["x"] for cell in stage_of(wide).cells]
    seen = set()
    for index in range(12):
        inputs = inputs_of(images, wide, index)
        classes = classify(test, inputs["x"], regions)
        seen.update(classes.tolist())
        expected = execute(with_static_classes(wide, narrow, classes.tolist()), inputs)
        np.testing.assert_array_equal(execute(dynamic, inputs)["y"], expected["y"])
    assert seen == {True, False}
    save_program(dynamic, tmp_path / "program.npz")
    loaded = load_program(tmp_path / "program.npz")
    assert loaded.sha256 == dynamic.sha256
    assert dynamic.sha256 != wide.sha256
    np.testing.assert_array_equal(execute(loaded, inputs)["y"], execute(dynamic, inputs)["y"])


def test_classes_have_ranges_of_their_own(calibration: Calibration, images: Dataset) -> None:
    graph = grouped_network()
    base = quantize(graph, calibration)
    cells = stage_of(patched(base)).cells
    regions = [cell.regions["x"] for cell in cells]
    limit = 2.5

    def is_bright(sample: np.ndarray, region: Region) -> bool:
        rows, columns = region.rows, region.columns
        part = sample[0, :, rows.start : rows.stop, columns.start : columns.stop]
        return bool(np.abs(part).max() > limit)

    bright = [np.array([is_bright(sample.inputs["x"], region) for region in regions]) for sample in images]
    assert 0.1 < np.mean(bright) < 0.9
    outliers, others = calibrate_classes(graph, calibration, images, cells, bright)
    spread = [c.statistics["x"].histogram for c in (calibration, outliers, others)]
    assert spread[1].maximum == spread[0].maximum
    assert max(spread[2].maximum, -spread[2].minimum) <= limit < max(spread[1].maximum, -spread[1].minimum)
    assert outliers.statistics["y"] is calibration.statistics["y"]
    four = dict.fromkeys(LOCAL, 4)
    narrow = branch_graph(base, others, LOCAL, four)
    assert narrow.tensor("c").qparams == base.tensor("c").qparams
    assert narrow.tensor("a").qparams != branch_graph(base, outliers, LOCAL, four).tensor("a").qparams
    none, all_ = calibrate_classes(graph, calibration, images, cells, [np.zeros(6, np.bool_)] * len(images))
    assert none.statistics["a"] is calibration.statistics["a"]
    assert all_.statistics["a"] is not calibration.statistics["a"]


def test_branches_that_do_not_fit_together(branches: tuple[Program, Program], calibration: Calibration) -> None:
    wide, _ = branches
    other = split_program(lower(quantize(grouped_network(), calibration)), [StagePlan("expand", (3, 3))])
    with pytest.raises(ValueError, match="different stages"):
        with_static_classes(wide, other, [True] * 6)
    with pytest.raises(ValueError, match="5 classes for 6 cells"):
        with_static_classes(wide, branches[1], [True] * 5)
    with pytest.raises(ValueError, match="b is not among the inputs"):
        with_dynamic_classes(*branches, OutlierTest("b", 0, 255))
    narrow_output = branch_graph(quantize(grouped_network(), calibration), calibration, ("c",), {"c": 4})
    with pytest.raises(ValueError, match="c is quantized differently"):
        with_static_classes(wide, patched(narrow_output), [True] * 6)
