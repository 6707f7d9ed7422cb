"""One writer per operator class: an operator of the graph as ONNX nodes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from quantmcu.export.weights import bias_value, weight_value
from quantmcu.export.writer import Writer, onnx_axis, onnx_shape
from quantmcu.ir import ops
from quantmcu.ir.ops import Clamp, Op


def write_op(op: Op, writer: Writer, *, qdq: bool) -> None:
    """Adds the nodes of `op`, with its activation function."""
    rule = _WRITERS.get(type(op))
    if rule is None:
        raise ValueError(f"{type(op).__name__} {op.name} has no ONNX form")
    activation: Clamp | None = getattr(op, "activation", None)
    written = writer.written(op.output)
    output = written if activation is None else writer.fresh(f"{op.output}_linear")
    rule(op, writer, output, qdq)
    if activation is not None:
        write_clamp(writer, output, written, f"{op.name}_activation", activation.low, activation.high)


def write_clamp(writer: Writer, source: str, output: str, name: str, low: float, high: float) -> None:
    """min(max(source, low), high), a Relu where it is one."""
    if (low, high) == (0.0, math.inf):
        writer.node("Relu", [source], output, name)
        return
    bounds = [
        writer.constant(np.float32(bound), f"{name}_{kind}") if math.isfinite(bound) else ""
        for bound, kind in ((low, "low"), (high, "high"))
    ]
    writer.node("Clip", [source, *bounds] if bounds[1] else [source, bounds[0]], output, name)


def _conv(op: ops.Conv2D, writer: Writer, output: str, qdq: bool) -> None:
    weight = weight_value(op, writer, op.weight.transpose(0, 3, 1, 2), qdq=qdq)
    inputs = [writer.read(op.inputs[0]), weight, bias_value(op, writer, qdq=qdq)]
    writer.node(
        "Conv",
        inputs,
        output,
        op.name,
        kernel_shape=op.kernel,
        strides=op.strides,
        dilations=op.dilations,
        pads=op.pads,
        group=op.groups,
    )


def _dense(op: ops.Dense, writer: Writer, output: str, qdq: bool) -> None:
    rank = len(writer.shape(op.inputs[0]))
    source = writer.to_nhwc(writer.read(op.inputs[0]), rank, op.name)
    weight, bias = weight_value(op, writer, op.weight, qdq=qdq), bias_value(op, writer, qdq=qdq)
    if rank == 2:
        writer.node("Gemm", [source, weight, bias], output, op.name, transB=1)
        return
    transposed = writer.node(
        "Transpose", [weight], writer.fresh(f"{op.name}_weight_t"), f"{op.name}_weight_t", perm=(1, 0)
    )
    product = writer.node("MatMul", [source, transposed], writer.fresh(f"{output}_product"), op.name)
    result = writer.node("Add", [product, bias], writer.inner(output, rank), f"{op.name}_bias")
    if rank == 4:
        writer.from_nhwc(result, output, rank, op.name)


def _binary(operator: str) -> Callable[[Op, Writer, str, bool], None]:
    def write(op: Op, writer: Writer, output: str, _: bool) -> None:
        ranks = [len(writer.shape(name)) for name in op.inputs]
        operands = [writer.read(name) for name in op.inputs]
        for index, name in enumerate(op.inputs):
            if ranks[index] < max(ranks):  # a shorter operand gets axes of 1 in front, then the common layout
                shape = (1,) * (max(ranks) - ranks[index]) + writer.shape(name)
                dims = writer.constant(np.array(onnx_shape(shape), np.int64), f"{op.name}_shape")
                operands[index] = writer.node(
                    "Reshape", [operands[index], dims], writer.fresh(f"{name}_broadcast"), f"{op.name}_broadcast"
                )
        writer.node(operator, operands, output, op.name)

    return write


# The ONNX operator of each function, and its attributes by the fields of `Unary` that hold them.
_UNARY: dict[str, tuple[str, dict[str, str]]] = {
    "leaky_relu": ("LeakyRelu", {"alpha": "alpha"}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": "alpha", "beta": "beta"}),
    "elu": ("Elu", {"alpha": "alpha"}),
    "selu": ("Selu", {"alpha": "alpha", "gamma": "beta"}),
    "celu": ("Celu", {"alpha": "alpha"}),
    "thresholded_relu": ("ThresholdedRelu", {"alpha": "alpha"}),
    "hard_swish": ("HardSwish", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "exp": ("Exp", {}),
    "abs": ("Abs", {}),
    "neg": ("Neg", {}),
    "sqrt": ("Sqrt", {}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "erf": ("Erf", {}),
}


def _unary(op: ops.Unary, writer: Writer, output: str, _: bool) -> None:
    source = writer.read(op.inputs[0])
    if op.function == "clamp":
        write_clamp(writer, source, output, op.name, op.alpha, op.beta)
    elif op.function == "silu":
        gate = writer.node("Sigmoid", [source], writer.fresh(f"{output}_gate"), f"{op.name}_gate")
        writer.node("Mul", [source, gate], output, op.name)
    elif op.function == "gelu":  # x (1 + erf(x / sqrt 2)) / 2, by parts: Gelu itself needs opset 20
        root, one, half = (
            writer.constant(np.float32(value), f"{op.name}_{name}")
            for value, name in ((math.sqrt(0.5), "root"), (1.0, "one"), (0.5, "half"))
        )
        scaled = writer.node("Mul", [source, root], writer.fresh(f"{output}_scaled"), f"{op.name}_scaled")
        erf = writer.node("Erf", [scaled], writer.fresh(f"{output}_erf"), f"{op.name}_erf")
        shifted = writer.node("Add", [erf, one], writer.fresh(f"{output}_shifted"), f"{op.name}_shifted")
        halved = writer.node("Mul", [source, half], writer.fresh(f"{output}_halved"), f"{op.name}_halved")
        writer.node("Mul", [halved, shifted], output, op.name)
    elif op.function == "mish":  # x tanh(softplus(x)): Mish itself needs opset 18
        soft = writer.node("Softplus", [source], writer.fresh(f"{output}_soft"), f"{op.name}_soft")
        gate = writer.node("Tanh", [soft], writer.fresh(f"{output}_gate"), f"{op.name}_gate")
        writer.node("Mul", [source, gate], output, op.name)
    elif op.function == "power":
        exponent = writer.constant(np.float32(op.alpha), f"{op.name}_exponent")
        writer.node("Pow", [source, exponent], output, op.name)
    else:
        operator, attributes = _UNARY[op.function]
        values = {name: getattr(op, field) for name, field in attributes.items()}
        writer.node(operator, [source], output, op.name, **values)


def _prelu(op: ops.PRelu, writer: Writer, output: str, _: bool) -> None:
    rank = len(writer.shape(op.inputs[0]))
    slope = op.slope.reshape(onnx_shape((1,) * (rank - 1) + (-1,)))
    writer.node("PRelu", [writer.read(op.inputs[0]), writer.constant(slope, f"{op.name}_slope")], output, op.name)


def _max_pool(op: ops.MaxPool, writer: Writer, output: str, _: bool) -> None:
    source, pads = writer.read(op.inputs[0]), op.pads
    if any(pad >= size for pad, size in zip(pads, (*op.kernel, *op.kernel), strict=True)):
        # ONNX Runtime rejects padding as large as the kernel, however far a dilated window reaches
        amounts = np.array([0, 0, *pads[:2], 0, 0, *pads[2:]], np.int64)
        lowest = writer.constant(np.finfo(np.float32).min, f"{op.name}_lowest")
        inputs = [source, writer.constant(amounts, f"{op.name}_pads"), lowest]
        source = writer.node("Pad", inputs, writer.fresh(f"{output}_padded"), f"{op.name}_pad")
        pads = (0, 0, 0, 0)
    writer.node(
        "MaxPool",
        [source],
        output,
        op.name,
        kernel_shape=op.kernel,
        strides=op.strides,
        dilations=op.dilations,
        pads=pads,
    )


def _average_pool(op: ops.AveragePool, writer: Writer, output: str, _: bool) -> None:
    source = writer.read(op.inputs[0])
    if op.kernel == writer.shape(op.inputs[0])[1:3] and not any(op.pads):
        writer.node("GlobalAveragePool", [source], output, op.name)
        return
    writer.node(
        "AveragePool",
        [source],
        output,
        op.name,
        kernel_shape=op.kernel,
        strides=op.strides,
        pads=op.pads,
        count_include_pad=int(op.count_include_pad),
    )


def _concat(op: ops.Concat, writer: Writer, output: str, _: bool) -> None:
    axis = onnx_axis(op.axis, len(writer.shape(op.inputs[0])))
    writer.node("Concat", [writer.read(name) for name in op.inputs], output, op.name, axis=axis)


def _slice(op: ops.Slice, writer: Writer, output: str, _: bool) -> None:
    lists = [onnx_shape(values) for values in (op.starts, op.ends, range(len(op.starts)), op.steps)]
    lists[2] = tuple(range(len(op.starts)))
    names = [
        writer.constant(np.array(values, np.int64), f"{op.name}_{name}")
        for values, name in zip(lists, ("starts", "ends", "axes", "steps"), strict=True)
    ]
    writer.node("Slice", [writer.read(op.inputs[0]), *names], output, op.name)


def _pad(op: ops.Pad, writer: Writer, output: str, _: bool) -> None:
    pads = np.array([*onnx_shape(op.before), *onnx_shape(op.after)], np.int64)
    inputs = [writer.read(op.inputs[0]), writer.constant(pads, f"{op.name}_pads")]
    if op.mode == "constant":
        inputs.append(writer.constant(np.float32(op.value), f"{op.name}_value"))
    writer.node("Pad", inputs, output, op.name, mode=op.mode)


def _resize(op: ops.Resize, writer: Writer, output: str, _: bool) -> None:
    scales = writer.constant(np.array([1, 1, *op.scales], np.float32), f"{op.name}_scales")
    writer.node(
        "Resize",
        [writer.read(op.inputs[0]), "", scales],
        output,
        op.name,
        mode=op.mode,
        coordinate_transformation_mode=op.coordinates,
        nearest_mode=op.rounding,
    )


def _reshape(op: ops.Reshape, writer: Writer, output: str, _: bool) -> None:
    old, new = writer.shape(op.inputs[0]), writer.shape(op.output)
    source = writer.read(op.inputs[0])
    if _same_order(old, new):
        dims = writer.constant(np.array(onnx_shape(new), np.int64), f"{op.name}_shape")
        writer.node("Reshape", [source, dims], output, op.name)
        return
    source = writer.to_nhwc(source, len(old), op.name)
    dims = writer.constant(np.array(new, np.int64), f"{op.name}_shape")
    result = writer.node("Reshape", [source, dims], writer.inner(output, len(new)), op.name)
    if len(new) == 4:
        writer.from_nhwc(result, output, 4, op.name)


def _same_order(old: tuple[int, ...], new: tuple[int, ...]) -> bool:
    """Whether the exported tensors hold their elements in the same order too."""

    def axes(shape: tuple[int, ...]) -> list[int]:
        order = (0, 3, 1, 2) if len(shape) == 4 else range(len(shape))
        return [axis for axis in order if shape[axis] > 1]

    return all(axes(shape) == sorted(axes(shape)) for shape in (old, new)) or old == new


def _transpose(op: ops.Transpose, writer: Writer, output: str, _: bool) -> None:
    rank = len(op.permutation)
    permutation = tuple(onnx_axis(axis, rank) for axis in onnx_shape(op.permutation))
    writer.node("Transpose", [writer.read(op.inputs[0])], output, op.name, perm=permutation)


def _softmax(op: ops.Softmax, writer: Writer, output: str, _: bool) -> None:
    rank = len(writer.shape(op.inputs[0]))
    writer.node("Softmax", [writer.read(op.inputs[0])], output, op.name, axis=onnx_axis(rank - 1, rank))


def _arg_max(op: ops.ArgMax, writer: Writer, output: str, _: bool) -> None:
    rank = len(writer.shape(op.inputs[0]))
    keep = len(writer.shape(op.output)) == rank
    axis = onnx_axis(rank - 1, rank)
    if keep or rank not in (4, 5):
        writer.node("ArgMax", [writer.read(op.inputs[0])], output, op.name, axis=axis, keepdims=int(keep))
    elif rank == 4:  # [N, C, H, W] -> [N, H, W], which is our order
        writer.node("ArgMax", [writer.read(op.inputs[0])], output, op.name, axis=axis, keepdims=0)
    else:
        inner = writer.node(
            "ArgMax", [writer.read(op.inputs[0])], writer.inner(output, 4), op.name, axis=axis, keepdims=0
        )
        writer.from_nhwc(inner, output, 4, op.name)


_WRITERS: dict[type[Op], Callable[[Any, Writer, str, bool], None]] = {
    ops.Conv2D: _conv,
    ops.Dense: _dense,
    ops.Add: _binary("Add"),
    ops.Sub: _binary("Sub"),
    ops.Mul: _binary("Mul"),
    ops.Unary: _unary,
    ops.PRelu: _prelu,
    ops.MaxPool: _max_pool,
    ops.AveragePool: _average_pool,
    ops.Concat: _concat,
    ops.Slice: _slice,
    ops.Pad: _pad,
    ops.Resize: _resize,
    ops.Reshape: _reshape,
    ops.Transpose: _transpose,
    ops.Softmax: _softmax,
    ops.ArgMax: _arg_max,
}
