"""The trained models beside the checkout compute the same before and after import and simplification."""

from __future__ import annotations

from pathlib import Path

import pytest

from quantmcu.frontend import load_onnx, read_model
from quantmcu.inspection import inspect_model
from quantmcu.ir import ops
from quantmcu.ir.macs import graph_macs
from quantmcu.passes import simplify
from tests.onnx_models import check_import

MODELS = Path(__file__).resolve().parents[3] / "shared" / "models"
NAMES = (
    "blazeface_front_128",
    "fmnist_resnet8_28",
    "mlperf_ad_autoencoder",
    "mlperf_ic_resnet8",
    "mlperf_kws_dscnn",
    "mlperf_vww_mobilenetv1",
    "mobilenetv2_1.0_imagenet_144",
    "mobilenetv2_1.0_imagenet_224",
)
pytestmark = pytest.mark.shared


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_equal(name: str) -> None:
    """Within 1e-4 of the largest output, without any Transpose at run time."""
    graph = check_import(read_model(MODELS / f"{name}.onnx"))
    assert not [op.name for op in graph.ops if isinstance(op, ops.Transpose)]
    assert not [op.name for op in graph.ops if isinstance(op, ops.Unary)]


def test_mobilenet_macs() -> None:
    """Known figures of the published network."""
    graph = load_onnx(MODELS / "mobilenetv2_1.0_imagenet_224.onnx")
    assert graph_macs(graph) == 300_774_272


def test_half_of_the_person_detector_is_dead() -> None:
    """7.49 M -> about 3.73 M MACs, with equal outputs (the test above)."""
    imported = load_onnx(MODELS / "mlperf_vww_mobilenetv1.onnx")
    assert graph_macs(imported) == 7_489_664
    simplified = simplify(imported)
    assert graph_macs(simplified) < 3_750_000
    weights = sum(op.weight.size for op in simplified.ops if isinstance(op, (ops.Conv2D, ops.Dense)))
    assert weights < 30_000


def test_inspection_of_blazeface() -> None:
    """NHWC input and four outputs, as in the model."""
    inspection = inspect_model(MODELS / "blazeface_front_128.onnx")
    assert inspection.problems == ()
    assert inspection.operators["Conv"] == 37
    assert [report.shape for report in inspection.inputs] == [(1, 128, 128, 3)]
    assert [report.layout for report in (*inspection.inputs, *inspection.outputs)] == [None] * 5
    assert inspection.macs == 30_760_960
    assert inspection.peak_bytes == max(layer.live_bytes for layer in inspection.layers)
