"""Calibration and quantization end to end: small graphs always, the shared models where they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_networks import outputs_of, residual_network

from quantmcu.data import Dataset, Preprocess, input_specs, load_preprocess, open_dataset
from quantmcu.errors import QuantMCUError, UsageError
from quantmcu.export import export_onnx
from quantmcu.frontend import load_onnx
from quantmcu.ir import Tensor, ops
from quantmcu.passes import simplify
from quantmcu.quant import AccuracyReport, calibrate, compare, is_classifier, quantize

SHARED = Path(__file__).resolve().parents[3] / "shared"


def test_calibration_sees_every_value_and_channel(varied_images: Dataset) -> None:
    seen: list[tuple[int, int]] = []
    graph = residual_network()
    calibration = calibrate(graph, varied_images, limit=20, progress=lambda done, total: seen.append((done, total)))
    assert calibration.samples == 20
    assert seen[-1] == (20, 20)
    inputs = np.stack([sample.inputs["x"][0] for sample in varied_images.take(20)])
    statistics = calibration.statistics["x"]
    assert statistics.histogram.total == inputs.size
    np.testing.assert_allclose(statistics.channel_mean, inputs.mean(axis=(0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(statistics.channel_maximum, inputs.max(axis=(0, 2, 3)))
    np.testing.assert_allclose(statistics.channel_minimum, inputs.min(axis=(0, 2, 3)))
    assert calibration.statistics["a"].channel_mean.shape == (8,)
    assert calibration.statistics["a"].histogram.minimum >= 0
    assert set(calibration.statistics) == set(graph.tensors)


@pytest.mark.parametrize("method", ["percentile", "mse", "minmax"])
def test_quantized_model_is_close_to_float(varied_images: Dataset, method: str) -> None:
    graph = residual_network()
    quantized = quantize(graph, calibrate(graph, varied_images, method=method))
    wanted = outputs_of(export_onnx(graph), varied_images)
    report = compare(wanted, outputs_of(export_onnx(quantized, qdq=True), varied_images), ("y",), classifier=True)
    assert report.outputs[0].sqnr_db is not None
    assert report.outputs[0].sqnr_db > 30
    assert report.agreement is not None
    assert report.agreement >= 0.95


def test_bias_correction_lessens_the_mean_error_of_few_bits(varied_images: Dataset) -> None:
    graph = residual_network()
    calibration = calibrate(graph, varied_images)
    wanted = np.concatenate([outputs[0] for outputs in outputs_of(export_onnx(graph), varied_images)])
    shifts = []
    for correction in (False, True):
        quantized = quantize(graph, calibration, weight_bits=4, bias_correction=correction)
        got = np.concatenate([outputs[0] for outputs in outputs_of(export_onnx(quantized, qdq=True), varied_images)])
        shifts.append(np.abs((got - wanted).mean(axis=0)).sum())
    assert shifts[1] < 0.5 * shifts[0]


def test_not_a_number_names_tensor_and_sample(varied_images: Dataset) -> None:
    graph = residual_network()
    overflowing = [
        ops.Unary(name="exp", inputs=("y",), outputs=("z",), function="exp"),
        ops.Unary(name="exp2", inputs=("z",), outputs=("w",), function="exp"),
    ]
    graph = graph.with_ops([*graph.ops, *overflowing], [Tensor("z", (1, 5)), Tensor("w", (1, 5))], outputs=("w",))
    with pytest.raises(QuantMCUError) as caught:
        calibrate(graph, varied_images)
    assert "the activation w is NaN or infinite for sample" in str(caught.value)
    assert caught.value.where == "exp2"


def test_unusable_arguments(varied_images: Dataset) -> None:
    with pytest.raises(UsageError, match="unknown range method 'median'"):
        calibrate(residual_network(), varied_images, method="median")
    with pytest.raises(UsageError, match=r"percentile 0\.999 is out of range"):
        calibrate(residual_network(), varied_images, percentile=0.999)


def shared_report(model: str, data: object, preprocess: Preprocess | str, samples: int) -> AccuracyReport:
    path = SHARED / "models" / model
    graph = simplify(load_onnx(path))
    specs = input_specs(graph)
    if isinstance(preprocess, str):
        preprocess = load_preprocess(preprocess, specs[0])
    dataset = open_dataset(data, specs, preprocess).take(samples)
    quantized = quantize(graph, calibrate(graph, dataset, limit=100))
    return compare(
        outputs_of(path, dataset),
        outputs_of(export_onnx(quantized, qdq=True), dataset),
        graph.outputs,
        labels=dataset.labels,
        classifier=is_classifier(graph),
    )


@pytest.mark.shared
def test_keyword_spotting_stays_within_a_point_of_float() -> None:
    data = SHARED / "data" / "mlperf-tiny" / "kws_inputs_500.npz"
    scale = 0.5847029
    report = shared_report("mlperf_kws_dscnn.onnx", data, Preprocess(scale=scale, mean=(83 * scale,)), 500)
    assert report.float_ == pytest.approx(0.904)
    assert report.quantized is not None
    assert report.quantized >= report.float_ - 0.01


@pytest.mark.shared
@pytest.mark.slow
def test_mobilenet_agrees_with_float_on_the_photographs() -> None:
    data = SHARED / "data" / "imagenet-sample"
    report = shared_report("mobilenetv2_1.0_imagenet_144.onnx", data, "imagenet-crop", 500)
    assert report.agreement is not None
    assert report.agreement >= 0.88
