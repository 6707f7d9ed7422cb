"""Output shapes of the operators, from the shapes of their inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from quantmcu.ir import ops
from quantmcu.ir.ops import Op, Pads, Pair

Shape = tuple[int, ...]


def effective_kernel(kernel: Pair, dilations: Pair) -> Pair:
    """Rows and columns that a dilated kernel spans."""
    return (kernel[0] - 1) * dilations[0] + 1, (kernel[1] - 1) * dilations[1] + 1


def window_output(size: Pair, kernel: Pair, strides: Pair, dilations: Pair, pads: Pads) -> Pair:
    """Rows and columns of the output of a sliding window over a map of `size` rows and columns.

    Raises:
        ValueError: the window is larger than the padded map.
    """
    spans = effective_kernel(kernel, dilations)
    padded = size[0] + pads[0] + pads[2], size[1] + pads[1] + pads[3]
    if padded[0] < spans[0] or padded[1] < spans[1]:
        raise ValueError(f"a window of {spans[0]}x{spans[1]} does not fit a padded map of {padded[0]}x{padded[1]}")
    return (padded[0] - spans[0]) // strides[0] + 1, (padded[1] - spans[1]) // strides[1] + 1


def resized(size: int, scale: float) -> int:
    """Output length of a Resize: floor(size * scale), where scale carries the rounding error of a float32."""
    return math.floor(size * scale * (1 + 1e-6))


def output_shape(op: Op, inputs: Sequence[Shape]) -> Shape | None:
    """Shape of the only output of `op`; None where its operands leave it open (Reshape, ArgMax).

    Raises:
        ValueError: the operands do not fit the operator.
    """
    rule = _RULES.get(type(op))
    if rule is None:
        raise ValueError(f"no shape rule for {type(op).__name__}")
    return rule(op, inputs)


def _map_shape(shape: Shape) -> Shape:
    if len(shape) != 4:
        raise ValueError(f"needs a map of four dimensions, not {shape}")
    return shape


def _conv(op: ops.Conv2D, inputs: Sequence[Shape]) -> Shape:
    batch, height, width, channels = _map_shape(inputs[0])
    if op.weight.ndim != 4 or op.weight.shape[3] * op.groups != channels or op.weight.shape[0] % op.groups:
        raise ValueError(f"weights {op.weight.shape} in {op.groups} groups do not fit {channels} input channels")
    if op.bias.shape != (op.weight.shape[0],):
        raise ValueError(f"bias {op.bias.shape} does not fit {op.weight.shape[0]} output channels")
    return (batch, *window_output((height, width), op.kernel, op.strides, op.dilations, op.pads), op.weight.shape[0])


def _dense(op: ops.Dense, inputs: Sequence[Shape]) -> Shape:
    if op.weight.ndim != 2 or inputs[0][-1] != op.weight.shape[1] or op.bias.shape != (op.weight.shape[0],):
        raise ValueError(f"weights {op.weight.shape} and bias {op.bias.shape} do not fit an input of {inputs[0]}")
    return (*inputs[0][:-1], op.weight.shape[0])


def _binary(_: Op, inputs: Sequence[Shape]) -> Shape:
    return tuple(np.broadcast_shapes(*inputs))


def _same(_: Op, inputs: Sequence[Shape]) -> Shape:
    return inputs[0]


def _prelu(op: ops.PRelu, inputs: Sequence[Shape]) -> Shape:
    if op.slope.shape != inputs[0][-1:]:
        raise ValueError(f"slopes {op.slope.shape} do not fit an input of {inputs[0]}")
    return inputs[0]


def _max_pool(op: ops.MaxPool, inputs: Sequence[Shape]) -> Shape:
    batch, height, width, channels = _map_shape(inputs[0])
    return (batch, *window_output((height, width), op.kernel, op.strides, op.dilations, op.pads), channels)


def _average_pool(op: ops.AveragePool, inputs: Sequence[Shape]) -> Shape:
    batch, height, width, channels = _map_shape(inputs[0])
    return (batch, *window_output((height, width), op.kernel, op.strides, (1, 1), op.pads), channels)


def _concat(op: ops.Concat, inputs: Sequence[Shape]) -> Shape:
    rest = {shape[: op.axis] + shape[op.axis + 1 :] for shape in inputs}
    if len(rest) != 1 or not 0 <= op.axis < len(inputs[0]):
        raise ValueError(f"cannot join {list(inputs)} along axis {op.axis}")
    first = inputs[0]
    return (*first[: op.axis], sum(shape[op.axis] for shape in inputs), *first[op.axis + 1 :])


def _slice(op: ops.Slice, inputs: Sequence[Shape]) -> Shape:
    ranges = list(zip(inputs[0], op.starts, op.ends, op.steps, strict=True))
    if any(not 0 <= start < end <= size or step < 1 for size, start, end, step in ranges):
        raise ValueError(f"starts {op.starts}, ends {op.ends}, steps {op.steps} do not fit {inputs[0]}")
    return tuple(-(-(end - start) // step) for _, start, end, step in ranges)


def _pad(op: ops.Pad, inputs: Sequence[Shape]) -> Shape:
    if min(*op.before, *op.after) < 0:
        raise ValueError(f"negative padding {op.before}, {op.after}")
    sizes = list(zip(inputs[0], op.before, op.after, strict=True))
    if op.mode == "reflect" and any(max(before, after) >= size for size, before, after in sizes if before or after):
        raise ValueError(f"reflects {op.before}, {op.after} elements of a tensor of {inputs[0]}")
    return tuple(before + size + after for size, before, after in sizes)


def _resize(op: ops.Resize, inputs: Sequence[Shape]) -> Shape:
    batch, height, width, channels = _map_shape(inputs[0])
    return batch, resized(height, op.scales[0]), resized(width, op.scales[1]), channels


def _transpose(op: ops.Transpose, inputs: Sequence[Shape]) -> Shape:
    if sorted(op.permutation) != list(range(len(inputs[0]))):
        raise ValueError(f"{op.permutation} does not permute the axes of {inputs[0]}")
    return tuple(inputs[0][axis] for axis in op.permutation)


def _open(_: Op, __: Sequence[Shape]) -> None:
    return None


_RULES: dict[type[Op], Callable[..., Shape | None]] = {
    ops.Conv2D: _conv,
    ops.Dense: _dense,
    ops.Add: _binary,
    ops.Sub: _binary,
    ops.Mul: _binary,
    ops.Unary: _same,
    ops.PRelu: _prelu,
    ops.MaxPool: _max_pool,
    ops.AveragePool: _average_pool,
    ops.Concat: _concat,
    ops.Slice: _slice,
    ops.Pad: _pad,
    ops.Resize: _resize,
    ops.Reshape: _open,
    ops.Transpose: _transpose,
    ops.Softmax: _same,
    ops.ArgMax: _open,
}
