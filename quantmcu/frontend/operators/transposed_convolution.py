"""ConvTranspose, as an ordinary convolution whose output channels are rearranged to pixels.

Along one axis, output o = stride q + r - pad sums x[q - m] w[r + stride m] over m: for each phase r that is a
convolution with ceil(kernel / stride) taps. So one convolution computes all phases as channels of a map on the grid of
q, and no product with an inserted zero is made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantmcu.frontend.builder import Builder
from quantmcu.frontend.node import Node
from quantmcu.frontend.registry import UnsupportedError, operator
from quantmcu.ir import ops


@dataclass(frozen=True)
class _Axis:
    """One axis of a transposed convolution: sizes of input, kernel, stride, padding in front, output."""

    size: int
    kernel: int
    stride: int
    pad: int
    output: int

    @property
    def taps(self) -> int:
        """Taps of each phase."""
        return -(-self.kernel // self.stride)

    @property
    def first(self) -> int:
        """The first q."""
        return self.pad // self.stride

    @property
    def pads(self) -> tuple[int, int]:
        """Padding of the convolution, in front and behind."""
        last = (self.pad + self.output - 1) // self.stride
        return self.taps - 1 - self.first, last + 1 - self.size

    @property
    def crop(self) -> tuple[int, int]:
        """Where the output lies among the pixels of all phases."""
        start = self.pad - self.stride * self.first
        return start, start + self.output

    @property
    def kernel_index(self) -> NDArray[np.int64]:
        """By phase and tap, the index into the kernel; `kernel` (one beyond) where there is none."""
        phases, taps = np.arange(self.stride)[:, None], np.arange(self.taps)[None, :]
        indices: NDArray[np.int64] = np.minimum(phases + self.stride * (self.taps - 1 - taps), self.kernel)
        return indices


@operator(
    "ConvTranspose",
    attributes=("auto_pad", "dilations", "group", "kernel_shape", "output_padding", "output_shape", "pads", "strides"),
    limits="1-D and 2-D; weights and bias constant; dilations 1",
)
def conv_transpose(node: Node, builder: Builder) -> None:
    """ConvTranspose -> Conv2D, and a Transpose of its output where a stride is above 1."""
    x = node.activation()
    weight = node.floats(1, "weight")
    rank = weight.ndim
    if rank not in (3, 4) or len(builder.shape(x)) != rank:
        raise UnsupportedError(
            f"weights {list(weight.shape)} on data of {list(builder.shape(x))}", "only 1-D and 2-D data are supported"
        )
    planes = weight[:, :, None, :] if rank == 3 else weight
    tensor = builder.nhwc(node, x)
    _, height, width, channels = builder.tensors[tensor].shape
    groups = node.attribute("group", 1)
    if channels != len(weight) or channels % groups:
        raise UnsupportedError(f"weights {list(weight.shape)} do not fit {channels} channels", "export the model again")
    rows, columns = _axes(node, rank, (height, width), (planes.shape[2], planes.shape[3]))
    outputs = planes.shape[1]
    bias = node.floats(2, "bias") if node.has(2) else np.zeros(groups * outputs, np.float32)
    phases = rows.stride * columns.stride
    top_bottom, left_right = rows.pads, columns.pads
    moves = phases > 1 or rows.crop != (0, rows.output) or columns.crop != (0, columns.output)
    result = builder.emit(
        ops.Conv2D,
        node,
        [tensor],
        output=None if moves or rank == 3 else 0,
        suffix="_phases" if moves else "",
        weight=_phase_weights(planes, groups, rows, columns),
        bias=np.repeat(bias.reshape(groups, 1, outputs), phases, axis=1).reshape(-1),
        pads=(top_bottom[0], left_right[0], top_bottom[1], left_right[1]),
        groups=groups,
    )
    if moves:
        result = _interleaved(node, builder, result, groups, rows, columns)
    builder.set(node, builder.from_nhwc(node, result, rank))


def _phase_weights(planes: NDArray[np.float32], groups: int, rows: _Axis, columns: _Axis) -> NDArray[np.float32]:
    """Weights [group, phase, phase, output; taps, taps; input] of ONNX's [inputs, outputs, rows, columns]."""
    inputs, outputs = planes.shape[:2]
    padded = np.pad(planes, ((0, 0), (0, 0), (0, 1), (0, 1)))  # where a phase has no tap
    phases = padded[:, :, rows.kernel_index[:, :, None, None], columns.kernel_index[None, None]]
    by_group = phases.reshape(groups, inputs // groups, outputs, rows.stride, rows.taps, columns.stride, columns.taps)
    ordered = by_group.transpose(0, 3, 5, 2, 4, 6, 1)
    shape = (groups * rows.stride * columns.stride * outputs, rows.taps, columns.taps, inputs // groups)
    return np.ascontiguousarray(ordered.reshape(shape))


def _interleaved(node: Node, builder: Builder, tensor: str, groups: int, rows: _Axis, columns: _Axis) -> str:
    """The map of phases with its phases as pixels, cut to the output."""
    _, height, width, channels = builder.tensors[tensor].shape
    outputs = channels // (groups * rows.stride * columns.stride)
    if rows.stride * columns.stride > 1:
        parts = builder.reshape(node, tensor, (height, width, groups, rows.stride, columns.stride, outputs))
        moved = builder.transpose(node, parts, (0, 3, 1, 4, 2, 5))
        pixels = (1, height * rows.stride, width * columns.stride, groups * outputs)
        tensor = builder.reshape(node, moved, pixels, suffix="_pixels")
    shape = builder.tensors[tensor].shape
    (top, bottom), (left, right) = rows.crop, columns.crop
    if (top, bottom, left, right) == (0, shape[1], 0, shape[2]):
        return tensor
    starts, ends = (0, top, left, 0), (1, bottom, right, shape[3])
    return builder.emit(
        ops.Slice, node, [tensor], output=None, suffix="_crop", starts=starts, ends=ends, steps=(1, 1, 1, 1)
    )


def _axes(node: Node, rank: int, sizes: tuple[int, int], kernel: tuple[int, int]) -> tuple[_Axis, _Axis]:
    """Rows and columns; one-dimensional data have a height of 1.

    Raises:
        UnsupportedError: dilation, or padding that cuts more than the kernel reaches.
    """
    axes = rank - 2
    strides = _values(node, "strides", axes, 1)
    extra = _values(node, "output_padding", axes, 0)
    dilations = _values(node, "dilations", axes, 1)
    if any(value != 1 for value in dilations):
        raise UnsupportedError("dilation is not supported", "use dilations of 1", f"dilations = {dilations}")
    spans = [
        stride * (size - 1) + length + more
        for size, length, stride, more in zip(sizes[-axes:], kernel[-axes:], strides, extra, strict=True)
    ]
    before, outputs = _padding(node, axes, sizes[-axes:], strides, spans)
    found = [
        _Axis(size, length, stride, pad, output)
        for size, length, stride, pad, output in zip(
            sizes[-axes:], kernel[-axes:], strides, before, outputs, strict=True
        )
    ]
    if any(axis.output < 1 or min(axis.pads) < 0 for axis in found):
        raise UnsupportedError(
            "the padding cuts off more than the kernel reaches", "pad by less than the kernel", f"pads = {before}"
        )
    return (_Axis(1, 1, 1, 0, 1), found[0]) if axes == 1 else (found[0], found[1])


def _padding(
    node: Node, axes: int, sizes: tuple[int, ...], strides: list[int], spans: list[int]
) -> tuple[list[int], list[int]]:
    """Padding in front, and sizes of the output, by the rules of ONNX for `output_shape` and `auto_pad`."""
    auto = node.require("auto_pad", "NOTSET", ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"), "give explicit pads")
    wanted = list(node.attribute("output_shape") or [])
    if auto.startswith("SAME") and not wanted:
        wanted = [size * stride for size, stride in zip(sizes, strides, strict=True)]
    if wanted:
        total = [span - output for span, output in zip(spans, wanted[-axes:], strict=True)]
        if min(total) < 0:
            raise UnsupportedError(
                "the output is larger than the kernel reaches", "export the model again", f"output_shape = {wanted}"
            )
        return [math.ceil(t / 2) if auto == "SAME_LOWER" else t // 2 for t in total], wanted[-axes:]
    pads = [0] * 2 * axes if auto == "VALID" else _values(node, "pads", 2 * axes, 0)
    return pads[:axes], [span - pads[i] - pads[i + axes] for i, span in enumerate(spans)]


def _values(node: Node, name: str, count: int, default: int) -> list[int]:
    values = list(node.attribute(name) or [default] * count)
    if len(values) != count:
        raise UnsupportedError(f"{count} values are expected", "export the model again", f"{name} = {values}")
    return values
