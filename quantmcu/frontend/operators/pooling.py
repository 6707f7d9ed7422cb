"""Pooling over windows and over whole maps."""

from __future__ import annotations

from quantmcu.frontend.builder import Builder
from quantmcu.frontend.node import Node, View
from quantmcu.frontend.operators.windows import WINDOW_ATTRIBUTES, Window, read_window
from quantmcu.frontend.registry import UnsupportedError, operator
from quantmcu.ir import ops
from quantmcu.ir.shapes import effective_kernel


def _pooled(node: Node, builder: Builder) -> tuple[str, Window, int]:
    """The input map NHWC, the window and the rank of the ONNX input."""
    x = node.activation()
    rank = len(builder.shape(x))
    kernel = tuple(node.attribute("kernel_shape") or ())
    if len(kernel) != rank - 2:
        raise UnsupportedError(
            f"the window does not fit an input of {list(builder.shape(x))}",
            "export the model again",
            f"kernel_shape = {list(kernel)}",
        )
    tensor = builder.nhwc(node, x)
    _, height, width, _ = builder.tensors[tensor].shape
    window = read_window(node, kernel, (height, width))
    spans = effective_kernel(window.kernel, window.dilations)
    if any(pad >= span for pad, span in zip(window.all_pads, (*spans, *spans), strict=True)):
        raise UnsupportedError(
            "a window may lie wholly in the padding", "pad by less than the window", f"pads = {window.pads}"
        )
    return tensor, window, rank


@operator(
    "MaxPool",
    attributes=(*WINDOW_ATTRIBUTES, "ceil_mode", "storage_order"),
    limits="1-D and 2-D; without the output Indices",
)
def max_pool(node: Node, builder: Builder) -> None:
    """MaxPool -> MaxPool."""
    if len(node.outputs) > 1 and node.outputs[1]:
        raise UnsupportedError("the output Indices is not supported", "use the pooled values only", node.outputs[1])
    tensor, window, rank = _pooled(node, builder)
    result = builder.emit(
        ops.MaxPool,
        node,
        [tensor],
        output=0 if rank == 4 else None,
        kernel=window.kernel,
        strides=window.strides,
        dilations=window.dilations,
        pads=window.all_pads,
    )
    builder.set(node, builder.from_nhwc(node, result, rank))


@operator(
    "AveragePool",
    attributes=(*WINDOW_ATTRIBUTES, "ceil_mode", "count_include_pad"),
    limits="1-D and 2-D; dilations 1",
)
def average_pool(node: Node, builder: Builder) -> None:
    """AveragePool -> AveragePool. What `ceil_mode` adds never counts, so it needs a Pad beside padding that does."""
    tensor, window, rank = _pooled(node, builder)
    if window.dilations != (1, 1):
        raise UnsupportedError(
            "dilated average pooling is not supported", "use dilations of 1", f"dilations = {window.dilations}"
        )
    pads, counted = window.all_pads, bool(node.attribute("count_include_pad", 0))
    if counted and any(window.ceil):
        top, left, bottom, right = window.pads
        tensor = builder.emit(
            ops.Pad, node, [tensor], output=None, suffix="_pad", before=(0, top, left, 0), after=(0, bottom, right, 0)
        )
        pads, counted = (0, 0, *window.ceil), False
    result = builder.emit(
        ops.AveragePool,
        node,
        [tensor],
        output=0 if rank == 4 else None,
        kernel=window.kernel,
        strides=window.strides,
        pads=pads,
        count_include_pad=counted and any(pads),
    )
    builder.set(node, builder.from_nhwc(node, result, rank))


@operator("GlobalAveragePool", "GlobalMaxPool", limits="1-D and 2-D")
def global_pool(node: Node, builder: Builder) -> None:
    """Pooling with a window of the whole map."""
    rank = len(builder.shape(node.activation()))
    tensor = builder.nhwc(node, node.activation())
    kernel = builder.tensors[tensor].shape[1:3]
    kind = ops.AveragePool if node.operator == "GlobalAveragePool" else ops.MaxPool
    result = builder.emit(kind, node, [tensor], output=0 if rank == 4 else None, kernel=kernel)
    builder.set(node, builder.from_nhwc(node, result, rank))


def mean(node: Node, builder: Builder, x: View, axes: list[int]) -> View:
    """The mean over ONNX `axes`, kept as 1, as an average pooling of the reduced axes."""
    shape = builder.stored_shape(x)
    stored = sorted(x.permutation[axis] for axis in axes if builder.shape(x)[axis] > 1)
    if not stored:
        return x
    if len(shape) == 4 and set(stored) <= {1, 2}:
        kernel = tuple(shape[axis] if axis in stored else 1 for axis in (1, 2))
        return View(builder.emit(ops.AveragePool, node, [x.tensor], kernel=kernel), x.permutation)
    return _mean_of_rows(node, builder, x, stored)


def _mean_of_rows(node: Node, builder: Builder, x: View, stored: list[int]) -> View:
    """The mean over stored axes, as a pooling of a map [1, what lies before, the reduced axes, what lies after]."""
    shape = builder.stored_shape(x)
    span = range(stored[0], stored[-1] + 1)
    if all(axis in stored or shape[axis] == 1 for axis in span):
        order = tuple(range(len(shape)))
    else:
        order = (*(axis for axis in range(len(shape)) if axis not in stored), *stored)
        span = range(len(shape) - len(stored), len(shape))
    moved = builder.transpose(node, x.tensor, order)
    shape = builder.tensors[moved].shape
    before, reduced, after = (_product(shape, part) for part in (range(span.start), span, range(span.stop, len(shape))))
    rows = builder.reshape(node, moved, (1, before, reduced, after))
    pooled = builder.emit(ops.AveragePool, node, [rows], output=None, kernel=(1, reduced))
    result = tuple(1 if axis in span else size for axis, size in enumerate(shape))
    permutation = tuple(order.index(axis) for axis in x.permutation)
    return View(builder.reshape(node, pooled, result), permutation)


def _product(shape: tuple[int, ...], axes: range) -> int:
    result = 1
    for axis in axes:
        result *= shape[axis]
    return result
