"""The tables of a Resize select and weigh what ONNX Runtime selects and weighs."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from quantmcu.ir.ops import Resize
from quantmcu.ir.resize import AxisTable, resize_tables
from tests.onnx_models import make_model, node, run


def apply(rows: AxisTable, columns: AxisTable, image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The resized image [height, width] by the tables."""
    tall = image[rows.low] * (1 - rows.fraction)[:, None] + image[rows.high] * rows.fraction[:, None]
    return tall[:, columns.low] * (1 - columns.fraction) + tall[:, columns.high] * columns.fraction


def has_ties(length: int, scale: float) -> bool:
    """Whether an output of a symmetric resize lies (nearly) on an input or half-way between two, exactly computed."""
    outputs = np.arange(int(length * scale))
    positions = length / 2 * (1 - len(outputs) / (scale * length)) + (outputs + 0.5) / scale - 0.5
    return bool((np.abs(2 * positions - np.rint(2 * positions)) < 1e-4).any())


@given(
    st.sampled_from(("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")),
    st.sampled_from(("nearest", "linear")),
    st.sampled_from(("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 24), st.integers(1, 24)),
)
@settings(max_examples=150, deadline=None)
def test_tables_agree_with_onnx_runtime(
    coordinates: Any, mode: Any, rounding: Any, size: tuple[int, int], eighths: tuple[int, int]
) -> None:
    """Scales of 1/8 to 3, every transformation and rounding; nearest exactly."""
    scales = tuple(np.float32(count / 8) for count in eighths)
    assume(all(int(length * scale) >= 1 for length, scale in zip(size, scales, strict=True)))
    # ONNX Runtime copies the input where no size changes, whatever the scale is; ONNX does not say so
    assume(any(int(length * scale) != length for length, scale in zip(size, scales, strict=True)))
    if coordinates == "half_pixel_symmetric" and mode == "nearest":  # the last bit of a float decides a tie
        assume(not any(has_ties(length, float(scale)) for length, scale in zip(size, scales, strict=True)))
    op = Resize(
        name="r", inputs=("x",), outputs=("y",), mode=mode, scales=(float(scales[0]), float(scales[1])),
        coordinates=coordinates, rounding=rounding,
    )  # fmt: skip
    image = np.random.default_rng(0).normal(size=size).astype(np.float32)
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates, "nearest_mode": rounding}
    model = make_model(
        [node("Resize", ["x", "", "s"], "y", **attributes)],
        {"x": [1, 1, *size]}, ["y"], {"s": np.array([1, 1, *scales], np.float32)}, 19,
    )  # fmt: skip
    expected = run(model, {"x": image[None, None]})["y"][0, 0]
    found = apply(*resize_tables(op, size), image)
    if mode == "nearest":
        np.testing.assert_array_equal(found, expected)
    else:
        np.testing.assert_allclose(found, expected, atol=1e-5)
