"""The accuracy report."""

from __future__ import annotations

import json

import numpy as np
import pytest

from quantmcu.errors import UsageError
from quantmcu.ir import Graph, Tensor
from quantmcu.quant import compare, is_classifier

FLOAT = [[np.array([[0.1, 0.9, 0.0]])], [np.array([[0.8, 0.1, 0.1]])], [np.array([[0.0, 0.4, 0.6]])]]
QUANTIZED = [[np.array([[0.1, 0.8, 0.1]])], [np.array([[0.4, 0.5, 0.1]])], [np.array([[0.0, 0.4, 0.6]])]]


def test_top1_and_agreement() -> None:
    report = compare(FLOAT, QUANTIZED, ["scores"], labels=[1, 1, 2])
    assert (report.n, report.metric, report.float_, report.quantized) == (3, "top-1", 2 / 3, 1.0)
    assert report.agreement == 2 / 3
    assert json.loads(json.dumps(report.as_json()))["quantized"] == 1.0


def test_without_labels() -> None:
    report = compare(iter(FLOAT), iter(QUANTIZED), ["scores"], classifier=True)
    assert (report.metric, report.float_, report.agreement) == ("agreement", None, 2 / 3)
    assert compare(FLOAT, QUANTIZED, ["scores"]).agreement is None


def test_differences_of_outputs() -> None:
    wanted, got = [[np.array([3.0, 4.0])]], [[np.array([3.0, 3.0])]]
    (output,) = compare(wanted, got, ["out"]).outputs
    assert output.cosine == pytest.approx(21 / (5 * np.sqrt(18)))
    assert output.mean_squared_error == 0.5
    assert output.largest_error == 1.0
    assert output.sqnr_db == pytest.approx(10 * np.log10(25))
    (same,) = compare(wanted, wanted, ["out"]).outputs
    assert (same.cosine, same.sqnr_db) == (pytest.approx(1.0), None)


def test_a_class_index_as_output() -> None:
    report = compare(
        [[np.array([[3]])], [np.array([[1]])]], [[np.array([[3]])], [np.array([[2]])]], ["c"], labels=[3, 2]
    )
    assert (report.float_, report.quantized, report.agreement) == (0.5, 1.0, 0.5)


def test_mismatches_are_mistakes() -> None:
    with pytest.raises(UsageError, match="no data to measure"):
        compare([], [], ["out"])
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        compare(FLOAT, QUANTIZED[:2], ["scores"])
    with pytest.raises(ValueError, match="outputs of shapes"):
        compare([[np.zeros(3)]], [[np.zeros(4)]], ["out"])


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [([(1, 10)], True), ([(1, 1, 1, 10)], True), ([(1, 640)], False), ([(1, 4, 4)], False), ([(1, 2), (1, 4)], False)],
)
def test_what_is_a_classifier(shapes: list[tuple[int, ...]], expected: bool) -> None:
    outputs = [Tensor(f"o{index}", shape) for index, shape in enumerate(shapes)]
    tensors = {tensor.name: tensor for tensor in [Tensor("x", (1, 640)), *outputs]}
    assert is_classifier(Graph("g", ("x",), tuple(t.name for t in outputs), (), tensors)) is expected
