"""Resizing of feature maps."""

from __future__ import annotations

import numpy as np

from quantmcu.frontend.builder import NHWC_TO_NCHW, Builder
from quantmcu.frontend.node import Node, View
from quantmcu.frontend.operators.axes import normalized
from quantmcu.frontend.registry import UnsupportedError, operator
from quantmcu.ir import ops

_COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")


def _emit(node: Node, builder: Builder, scales: list[float], coordinates: str, mode: str, rounding: str) -> None:
    if scales[0] != 1 or scales[1] != 1:
        raise UnsupportedError(
            "only height and width can be resized", "resize axes 2 and 3 of an NCHW map", f"scales = {scales}"
        )
    tensor = builder.nhwc(node, node.activation())
    result = builder.emit(
        ops.Resize,
        node,
        [tensor],
        mode=mode,
        scales=(scales[2], scales[3]),
        coordinates=coordinates,
        rounding=rounding,
    )
    builder.set(node, View(result, NHWC_TO_NCHW))


@operator(
    "Resize",
    attributes=(
        "antialias",
        "axes",
        "coordinate_transformation_mode",
        "cubic_coeff_a",
        "exclude_outside",
        "extrapolation_value",
        "keep_aspect_ratio_policy",
        "mode",
        "nearest_mode",
    ),
    limits="4-D, height and width; nearest and linear; no antialiasing; scales or sizes constant",
)
def resize(node: Node, builder: Builder) -> None:
    """Resize -> Resize."""
    shape = builder.shape(node.activation())
    if len(shape) != 4:
        raise UnsupportedError(f"an input of {list(shape)} cannot be resized", "only 4-D maps are supported")
    node.require("antialias", 0, (0,), "export with antialias=False")
    node.require("exclude_outside", 0, (0,), "use exclude_outside = 0")
    node.require("keep_aspect_ratio_policy", "stretch", ("stretch",), "give the sizes of both axes")
    mode = node.require("mode", "nearest", ("nearest", "linear"), "use nearest or linear interpolation")
    coordinates = node.require(
        "coordinate_transformation_mode", "half_pixel", _COORDINATES, "use half_pixel, asymmetric or align_corners"
    )
    rounding = node.require(
        "nearest_mode", "round_prefer_floor", ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"), "use floor"
    )
    axes = [normalized(node, axis, 4, "axes") for axis in node.attribute("axes") or range(4)]
    scales = [1.0] * 4
    given = node.floats(2, "scales") if node.has(2) else np.zeros(0, np.float32)
    sizes = [] if given.size else node.integers(3, "sizes")
    for index, axis in enumerate(axes):
        scales[axis] = float(given[index]) if given.size else sizes[index] / shape[axis]
    _emit(node, builder, scales, coordinates, mode, rounding)


@operator("Upsample", attributes=("mode",), limits="as Resize with asymmetric coordinates")
def upsample(node: Node, builder: Builder) -> None:
    """Upsample, the predecessor of Resize that some exporters still write."""
    if len(builder.shape(node.activation())) != 4:
        raise UnsupportedError(
            f"an input of {list(builder.shape(node.activation()))} cannot be resized", "only 4-D maps are supported"
        )
    mode = node.require("mode", "nearest", ("nearest", "linear"), "use nearest or linear interpolation")
    scales = [float(scale) for scale in node.floats(1, "scales")]
    _emit(node, builder, scales, "asymmetric", mode, "floor")
