"""Folding of the preprocessing into the first layers."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from quantmcu.data import ChannelAffine, InputSpec, load_preprocess
from quantmcu.export import export_onnx
from quantmcu.ir import Graph, QParams, Tensor, ops
from quantmcu.quant import RawInput, fold_input_affine

RNG = np.random.default_rng(7)
PIXELS = RNG.integers(0, 256, (1, 6, 6, 3), np.uint8)


def network(pads: tuple[int, int, int, int], groups: int = 1) -> Graph:
    weight = RNG.standard_normal((6, 3, 3, 3 // groups)).astype(np.float32)
    size = 6 + pads[0] + pads[2] - 2
    op = ops.Conv2D(
        name="conv",
        inputs=("x",),
        outputs=("y",),
        weight=weight,
        bias=RNG.standard_normal(6).astype(np.float32),
        pads=pads,
        groups=groups,
    )
    tensors = {"x": Tensor("x", (1, 6, 6, 3)), "y": Tensor("y", (1, size, size, 6))}
    return Graph("g", ("x",), ("y",), (op,), tensors, (None,), (None,))


def run(graph: Graph, values: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(export_onnx(graph).SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": values.astype(np.float32)})[0])


def preset(name: str) -> ChannelAffine:
    return load_preprocess(name, InputSpec("x", (1, 6, 6, 3))).affine(3)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("name", ["imagenet", "cifar10", "signed", "unit", "raw"])
def test_without_padding_every_map_folds_exactly(name: str, groups: int) -> None:
    graph, affine = network((0, 0, 0, 0), groups), preset(name)
    folded = fold_input_affine(graph, affine)
    assert isinstance(folded, RawInput)
    wanted, got = run(graph, affine.apply(PIXELS)), run(folded.graph, folded.affine.apply(PIXELS))
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
    qparams = folded.graph.tensor("x").qparams
    assert qparams is not None
    np.testing.assert_array_equal(qparams.quantize(folded.affine.apply(PIXELS)), PIXELS)


@pytest.mark.parametrize("name", ["unit", "raw"])
def test_zero_is_pixel_zero_so_padding_is_no_obstacle(name: str) -> None:
    graph, affine = network((1, 1, 1, 1)), preset(name)
    folded = fold_input_affine(graph, affine)
    assert isinstance(folded, RawInput)
    assert folded.graph.ops == graph.ops
    assert folded.graph.tensor("x").qparams == QParams(8, float(affine.scale[0]), 0)


def test_signed_with_padding_is_off_by_half_a_code_at_most() -> None:
    graph, affine = network((1, 1, 1, 1)), preset("signed")
    folded = fold_input_affine(graph, affine)
    assert isinstance(folded, RawInput)
    wanted, got = run(graph, affine.apply(PIXELS)), run(folded.graph, folded.affine.apply(PIXELS))
    np.testing.assert_allclose(got[:, 1:-1, 1:-1], wanted[:, 1:-1, 1:-1], atol=1e-4)
    op = graph.ops[0]
    assert isinstance(op, ops.Conv2D)
    assert np.abs(got - wanted).max() <= 0.5 / 127.5 * np.abs(op.weight).sum(axis=(1, 2, 3)).max()


def test_reasons_not_to_fold() -> None:
    reason = fold_input_affine(network((1, 1, 1, 1)), preset("imagenet"))
    assert isinstance(reason, str)
    assert "conv pads its input with 0, which is pixel value 123.7, 116.3, 103.5 by channel" in reason

    pool = ops.MaxPool(name="pool", inputs=("x",), outputs=("y",), kernel=(1, 1))
    tensors = {name: Tensor(name, (1, 6, 6, 3)) for name in "xy"}
    graph = Graph("g", ("x",), ("y",), (pool,), tensors, (None,), (None,))
    reason = fold_input_affine(graph, preset("imagenet"))
    assert reason == "the input is read by pool (MaxPool), which has no weights to fold into"
    assert isinstance(fold_input_affine(graph, preset("unit")), RawInput)
    assert fold_input_affine(graph, ChannelAffine(-np.ones(3), np.zeros(3))) == "the preprocessing inverts the pixels"
