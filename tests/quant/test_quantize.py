"""Calibration and quantization end to end: small graphs always, the shared models where they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from quantmcu.data import Dataset, InputSpec, Preprocess, input_specs, load_preprocess, open_dataset
from quantmcu.errors import QuantMCUError, UsageError
from quantmcu.export import export_onnx
from quantmcu.frontend import load_onnx
from quantmcu.ir import Graph, Tensor, ops
from quantmcu.passes import simplify
from quantmcu.quant import AccuracyReport, calibrate, compare, is_classifier, quantize

SHARED = Path(__file__).resolve().parents[3] / "shared"


def outputs_of(model: onnx.ModelProto | Path, dataset: Dataset) -> list[list[np.ndarray]]:
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    return [[np.asarray(output) for output in session.run(None, dict(sample.inputs))] for sample in dataset]


def small_network() -> Graph:
    """Depthwise and pointwise convolutions, a residual, pooling and a classifier; NCHW outside, NHWC inside."""
    rng = np.random.default_rng(0)

    def conv(name: str, source: str, output: str, shape: tuple[int, ...], **more: object) -> ops.Conv2D:
        fan_in = int(np.prod(shape[1:]))
        weight = (rng.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)
        bias = (rng.standard_normal(shape[0]) * 0.1).astype(np.float32)
        return ops.Conv2D(name=name, inputs=(source,), outputs=(output,), weight=weight, bias=bias, **more)  # type: ignore[arg-type]

    relu = ops.Clamp(low=0.0)
    dense = rng.standard_normal((5, 8)).astype(np.float32)
    operators = (
        conv("stem", "x", "a", (8, 3, 3, 3), pads=(1, 1, 1, 1), activation=relu),
        conv("depthwise", "a", "b", (8, 3, 3, 1), pads=(1, 1, 1, 1), groups=8, activation=relu),
        conv("project", "b", "c", (8, 1, 1, 8)),
        ops.Add(name="add", inputs=("a", "c"), outputs=("d",)),
        ops.AveragePool(name="mean", inputs=("d",), outputs=("e",), kernel=(12, 12)),
        ops.Reshape(name="flat", inputs=("e",), outputs=("f",)),
        ops.Dense(name="scores", inputs=("f",), outputs=("y",), weight=dense, bias=np.zeros(5, np.float32)),
    )
    shapes = {"x": (1, 12, 12, 3), "e": (1, 1, 1, 8), "f": (1, 8), "y": (1, 5)}
    shapes |= dict.fromkeys("abcd", (1, 12, 12, 8))
    tensors = {name: Tensor(name, shape) for name, shape in shapes.items()}
    return Graph("small", ("x",), ("y",), operators, tensors, ((0, 2, 3, 1),), (None,))


@pytest.fixture(scope="module")
def images() -> Dataset:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((60, 3, 12, 12)) * rng.uniform(0.2, 2, (60, 3, 1, 1)) + rng.standard_normal((60, 3, 1, 1))
    return open_dataset(x.astype(np.float32), (InputSpec("x", (1, 3, 12, 12)),))


def test_calibration_sees_every_value_and_channel(images: Dataset) -> None:
    seen: list[tuple[int, int]] = []
    calibration = calibrate(small_network(), images, limit=20, progress=lambda done, total: seen.append((done, total)))
    assert calibration.samples == 20
    assert seen[-1] == (20, 20)
    inputs = np.stack([sample.inputs["x"][0] for sample in images.take(20)])
    statistics = calibration.statistics["x"]
    assert statistics.histogram.total == inputs.size
    np.testing.assert_allclose(statistics.channel_mean, inputs.mean(axis=(0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(statistics.channel_maximum, inputs.max(axis=(0, 2, 3)))
    np.testing.assert_allclose(statistics.channel_minimum, inputs.min(axis=(0, 2, 3)))
    assert calibration.statistics["a"].channel_mean.shape == (8,)
    assert calibration.statistics["a"].histogram.minimum >= 0
    assert set(calibration.statistics) == set(small_network().tensors)


@pytest.mark.parametrize("method", ["percentile", "mse", "minmax"])
def test_quantized_model_is_close_to_float(images: Dataset, method: str) -> None:
    graph = small_network()
    quantized = quantize(graph, calibrate(graph, images, method=method))  # type: ignore[arg-type]
    wanted = outputs_of(export_onnx(graph), images)
    report = compare(wanted, outputs_of(export_onnx(quantized, qdq=True), images), ("y",), classifier=True)
    assert report.outputs[0].sqnr_db is not None
    assert report.outputs[0].sqnr_db > 30
    assert report.agreement is not None
    assert report.agreement >= 0.95


def test_bias_correction_lessens_the_mean_error_of_few_bits(images: Dataset) -> None:
    graph = small_network()
    calibration = calibrate(graph, images)
    wanted = np.concatenate([outputs[0] for outputs in outputs_of(export_onnx(graph), images)])
    shifts = []
    for correction in (False, True):
        quantized = quantize(graph, calibration, weight_bits=4, bias_correction=correction)
        got = np.concatenate([outputs[0] for outputs in outputs_of(export_onnx(quantized, qdq=True), images)])
        shifts.append(np.abs((got - wanted).mean(axis=0)).sum())
    assert shifts[1] < 0.5 * shifts[0]


def test_not_a_number_names_tensor_and_sample(images: Dataset) -> None:
    graph = small_network()
    overflowing = [
        ops.Unary(name="exp", inputs=("y",), outputs=("z",), function="exp"),
        ops.Unary(name="exp2", inputs=("z",), outputs=("w",), function="exp"),
    ]
    graph = graph.with_ops([*graph.ops, *overflowing], [Tensor("z", (1, 5)), Tensor("w", (1, 5))], outputs=("w",))
    with pytest.raises(QuantMCUError) as caught:
        calibrate(graph, images)
    assert "the activation w is NaN or infinite for sample" in str(caught.value)
    assert caught.value.where == "exp2"


def test_unusable_arguments(images: Dataset) -> None:
    with pytest.raises(UsageError, match="unknown range method 'median'"):
        calibrate(small_network(), images, method="median")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"percentile 0\.999 is out of range"):
        calibrate(small_network(), images, percentile=0.999)


def shared_report(model: str, data: object, preprocess: Preprocess | str, samples: int) -> AccuracyReport:
    path = SHARED / "models" / model
    graph = simplify(load_onnx(path))
    specs = input_specs(graph)
    if isinstance(preprocess, str):
        preprocess = load_preprocess(preprocess, specs[0])
    dataset = open_dataset(data, specs, preprocess).take(samples)  # type: ignore[arg-type]
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
