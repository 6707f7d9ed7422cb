"""Lowering: a quantized graph becomes the integer program.

All real numbers end here: scales turn into multipliers, functions into tables (docs/numerics.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from quantmcu.errors import QuantMCUError
from quantmcu.ir import Graph, QParams, Tensor, ops
from quantmcu.ir.resize import resize_tables
from quantmcu.program import functions, steps
from quantmcu.program.added_names import map_name, rescale_name, rescaled_name, reshape_name
from quantmcu.program.arithmetic import (
    UnrepresentableError,
    check_accumulator,
    check_saturation,
    clamp_codes,
    linear_form_checked,
    requantize_checked,
)
from quantmcu.program.program import Program, Value

SOFTMAX_QPARAMS = QParams(8, 1 / 256, 0)

_CONVOLUTIONS: WeakKeyDictionary[ops.Op, dict[tuple[object, ...], steps.Convolution]] = WeakKeyDictionary()
"""By operator, and the values that it reads and writes: networks of other bits elsewhere share what is known of it."""


def lower(graph: Graph) -> Program:
    """The integer program of `graph`, in which every activation has qparams and every convolution quantized weights.

    Raises:
        QuantMCUError: an accumulator doesn't fit 32 bits, or a ratio of scales can't be represented; names the layer.
        ValueError: the graph is not fully quantized.
    """
    lowering = _Lowering(graph)
    for op in graph.ops:
        try:
            lowering.handlers[type(op)](op)
        except UnrepresentableError as problem:
            raise QuantMCUError(
                "the layer can't be computed in 32-bit integers",
                where=op.name,
                why=str(problem),
                hint="extreme weights or calibration values cause this; look at this layer of the float model",
            ) from problem
    if not lowering.steps:
        raise QuantMCUError(
            "the network computes nothing", where=graph.name, hint="its outputs are its inputs; check the export"
        )
    return Program(
        graph.name,
        graph.inputs,
        graph.outputs,
        tuple(lowering.steps),
        lowering.values,
        graph.input_layouts,
        graph.output_layouts,
    )


class _Lowering:
    """The steps and values made so far."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.steps: list[steps.Step] = []
        self.values: dict[str, Value] = {}
        self._maps: dict[str, str] = {}  # value -> the same bytes as a four-dimensional map
        for name in graph.inputs:
            self._declare(graph.tensor(name))
        for tensor in graph.tensors.values():
            if tensor.data is not None:
                self._declare(tensor)
        self.handlers: dict[type[ops.Op], Callable[..., None]] = {
            ops.Conv2D: self.convolution,
            ops.Dense: self.dense,
            ops.Add: self.add,
            ops.Sub: self.add,
            ops.Mul: self.multiply,
            ops.Unary: self.unary,
            ops.PRelu: self.prelu,
            ops.MaxPool: self.max_pool,
            ops.AveragePool: self.average_pool,
            ops.Concat: self.concat,
            ops.Slice: self.slice,
            ops.Pad: self.pad,
            ops.Resize: self.resize,
            ops.Reshape: self.reshape,
            ops.Transpose: self.transpose,
            ops.Softmax: self.softmax,
            ops.ArgMax: self.argmax,
        }

    # Values

    def _declare(self, tensor: Tensor) -> Value:
        """The value of a tensor of the graph."""
        if tensor.is_index:
            value = Value(tensor.name, tensor.shape, 32)
        else:
            qparams = _qparams(tensor)
            data = None if tensor.data is None else qparams.quantize(tensor.data)
            value = Value(tensor.name, tensor.shape, qparams.bits, qparams, data)
        self.values[tensor.name] = value
        return value

    def _output(self, op: ops.Op) -> tuple[Value, QParams]:
        """The declared output of an operator whose result has codes."""
        tensor = self.graph.tensor(op.output)
        return self._declare(tensor), _qparams(tensor)

    def _input(self, op: ops.Op, index: int = 0) -> tuple[Value, QParams]:
        """Input `index` of an operator."""
        value = self.values[op.inputs[index]]
        if value.qparams is None:
            raise ValueError(f"{op.name} reads {value.name}, which is not quantized")
        return value, value.qparams

    def _matched(self, op: ops.Op, qparams: QParams) -> Value:
        """The first input of `op` in the scale of its output, by a step that changes the scale where it differs."""
        value, given = self._input(op)
        if given == qparams:
            return value
        matched = Value(rescaled_name(value.name, op.name), value.shape, qparams.bits, qparams)
        self.values[matched.name] = matched
        form = linear_form_checked([given.scale / qparams.scale], [given], qparams, None)
        self.steps.append(
            steps.Linear(
                name=rescale_name(op.name), layer=op.name, inputs=(value.name,), output=matched.name, form=form
            )
        )
        return matched

    def _as_map(self, value: Value) -> Value:
        """The bytes of `value` as a map [1, 1, rows, channels], by a Reshape step that costs nothing."""
        if len(value.shape) == 4:
            return value
        if value.name not in self._maps:
            channels = value.shape[-1]
            shape = (1, 1, value.elements // channels, channels)
            name = map_name(value.name)
            self.values[name] = Value(name, shape, value.bits, value.qparams)
            self.steps.append(steps.Reshape(name=reshape_name(name), inputs=(value.name,), output=name))
            self._maps[value.name] = name
        return self.values[self._maps[value.name]]

    def _append(
        self, step_type: type[steps.Step], op: ops.Op, inputs: tuple[str, ...], output: Value, **fields: object
    ) -> None:
        """The step that computes `op`, with the fields of its type."""
        common = {"name": op.name, "layer": op.name, "inputs": inputs, "output": output.name}
        self.steps.append(step_type(**common, **fields))  # type: ignore[arg-type]

    # Operators

    def convolution(self, op: ops.Conv2D) -> None:
        """Conv2D."""
        source, _ = self._input(op)
        output, _ = self._output(op)
        self._append_convolution(
            op, source, output, strides=op.strides, dilations=op.dilations, pads=op.pads, groups=op.groups
        )

    def dense(self, op: ops.Dense) -> None:
        """Dense: a 1x1 convolution over the rows."""
        value, _ = self._input(op)
        source = self._as_map(value)
        output, qparams = self._output(op)
        if len(output.shape) == 4:
            self._append_convolution(op, source, output)
            return
        shape = (1, 1, output.elements // output.shape[-1], output.shape[-1])
        result = Value(map_name(output.name), shape, output.bits, qparams)
        self.values[result.name] = result
        self._append_convolution(op, source, result)
        self.steps.append(
            steps.Reshape(name=reshape_name(output.name), layer=op.name, inputs=(result.name,), output=output.name)
        )
        self._maps[output.name] = result.name

    def _append_convolution(self, op: ops.Conv2D | ops.Dense, source: Value, output: Value, **geometry: object) -> None:
        known, key = _CONVOLUTIONS.setdefault(op, {}), (source.name, source.qparams, output.name, output.qparams)
        if key not in known:
            known[key] = self._convolution(op, source, output, **geometry)
        self.steps.append(known[key])

    def _convolution(
        self, op: ops.Conv2D | ops.Dense, source: Value, output: Value, **geometry: Any
    ) -> steps.Convolution:
        if op.quantized is None or source.qparams is None or output.qparams is None:
            raise ValueError(f"{op.name} is not quantized")
        codes = op.quantized.codes
        if codes.ndim == 2:
            codes = codes[:, None, None, :]
        scales = source.qparams.scale * op.quantized.scales
        weight_sums = codes.reshape(codes.shape[0], -1).astype(np.int64).sum(axis=1)
        bias = np.rint(op.quantized.bias / scales) - source.qparams.zero_point * weight_sums
        check_accumulator(codes, bias, source.highest_code)
        low, high = clamp_codes(output.qparams, op.activation)
        requantize = requantize_checked(scales / output.qparams.scale, output.qparams.zero_point, low, high)
        check_saturation(codes, bias, source.highest_code, scales / output.qparams.scale, requantize)
        return steps.Convolution(
            name=op.name,
            layer=op.name,
            inputs=(source.name,),
            output=output.name,
            weight=codes,
            weight_bits=op.quantized.bits,
            bias=bias.astype(np.int32),
            requantize=requantize,
            input_zero_point=source.qparams.zero_point,
            **geometry,
        )

    def add(self, op: ops.Add | ops.Sub) -> None:
        """Add and Sub."""
        (_, left), (_, right) = self._input(op, 0), self._input(op, 1)
        output, qparams = self._output(op)
        sign = -1.0 if isinstance(op, ops.Sub) else 1.0
        ratios = [left.scale / qparams.scale, sign * right.scale / qparams.scale]
        form = linear_form_checked(ratios, [left, right], qparams, op.activation)
        self._append(steps.Linear, op, op.inputs, output, form=form)

    def multiply(self, op: ops.Mul) -> None:
        """Mul."""
        (_, left), (_, right) = self._input(op, 0), self._input(op, 1)
        output, qparams = self._output(op)
        low, high = clamp_codes(qparams, op.activation)
        requantize = requantize_checked([left.scale * right.scale / qparams.scale], qparams.zero_point, low, high)
        self._append(
            steps.Multiply,
            op,
            op.inputs,
            output,
            zero_points=(left.zero_point, right.zero_point),
            requantize=requantize,
        )

    def unary(self, op: ops.Unary) -> None:
        """A function as a table of codes."""
        source, given = self._input(op)
        output, qparams = self._output(op)
        reals = given.dequantize(np.arange(source.highest_code + 1)).astype(np.float64)
        table = qparams.quantize(functions.evaluate(op, reals))
        self._append(steps.Lookup, op, (source.name,), output, table=table)

    def prelu(self, op: ops.PRelu) -> None:
        """PRelu."""
        source, given = self._input(op)
        output, qparams = self._output(op)
        ratios = np.concatenate([[1.0], op.slope.astype(np.float64)]) * given.scale / qparams.scale
        requantize = requantize_checked(ratios, qparams.zero_point, 0, qparams.highest_code)
        self._append(steps.PRelu, op, (source.name,), output, input_zero_point=given.zero_point, requantize=requantize)

    def max_pool(self, op: ops.MaxPool) -> None:
        """MaxPool."""
        output, qparams = self._output(op)
        source = self._matched(op, qparams)
        self._append(
            steps.MaxPool,
            op,
            (source.name,),
            output,
            kernel=op.kernel,
            strides=op.strides,
            dilations=op.dilations,
            pads=op.pads,
        )

    def average_pool(self, op: ops.AveragePool) -> None:
        """AveragePool: the multipliers divide."""
        source, given = self._input(op)
        output, qparams = self._output(op)
        area = math.prod(op.kernel)
        same_count = op.count_include_pad or not any(op.pads)
        counts = np.array([area]) if same_count else np.arange(1, area + 1)
        ratios = given.scale / (qparams.scale * counts)
        self._append(
            steps.AveragePool,
            op,
            (source.name,),
            output,
            kernel=op.kernel,
            strides=op.strides,
            pads=op.pads,
            input_zero_point=given.zero_point,
            requantize=requantize_checked(ratios, qparams.zero_point, 0, qparams.highest_code),
        )

    def concat(self, op: ops.Concat) -> None:
        """Concat."""
        output, qparams = self._output(op)
        forms = []
        for index in range(len(op.inputs)):
            _, given = self._input(op, index)
            forms.append(
                None if given == qparams else linear_form_checked([given.scale / qparams.scale], [given], qparams, None)
            )
        self._append(steps.Concatenate, op, op.inputs, output, axis=op.axis, forms=tuple(forms))

    def slice(self, op: ops.Slice) -> None:
        """Slice."""
        output, qparams = self._output(op)
        source = self._matched(op, qparams)
        self._append(steps.Slice, op, (source.name,), output, starts=op.starts, ends=op.ends, steps=op.steps)

    def pad(self, op: ops.Pad) -> None:
        """Pad: constant, or by index tables where it reflects or repeats the edge."""
        output, qparams = self._output(op)
        source = self._matched(op, qparams)
        if op.mode == "constant":
            code = int(qparams.quantize(np.array([op.value]))[0])
            self._append(steps.Pad, op, (source.name,), output, before=op.before, after=op.after, value=code)
            return
        rows, columns = (
            np.pad(np.arange(source.shape[axis], dtype=np.int32), (op.before[axis], op.after[axis]), mode=op.mode)
            for axis in (1, 2)
        )
        self._append_gather(op, source, output, rows, columns)

    def resize(self, op: ops.Resize) -> None:
        """Resize by index tables; the linear mode interpolates."""
        output, qparams = self._output(op)
        source = self._matched(op, qparams)
        rows, columns = resize_tables(op, (source.shape[1], source.shape[2]))
        if op.mode == "nearest":
            self._append_gather(op, source, output, rows.low, columns.low)
            return
        one = 1 << steps.LINEAR_FRACTION_BITS
        self._append(
            steps.ResizeLinear,
            op,
            (source.name,),
            output,
            low_rows=rows.low.astype(np.int32),
            high_rows=rows.high.astype(np.int32),
            row_fractions=np.rint(rows.fraction * one).astype(np.int32),
            low_columns=columns.low.astype(np.int32),
            high_columns=columns.high.astype(np.int32),
            column_fractions=np.rint(columns.fraction * one).astype(np.int32),
        )

    def _append_gather(self, op: ops.Op, source: Value, output: Value, rows: np.ndarray, columns: np.ndarray) -> None:
        self._append(
            steps.GatherRowsColumns,
            op,
            (source.name,),
            output,
            rows=rows.astype(np.int32),
            columns=columns.astype(np.int32),
        )

    def reshape(self, op: ops.Reshape) -> None:
        """Reshape."""
        output, qparams = self._output(op)
        source = self._matched(op, qparams)
        self._append(steps.Reshape, op, (source.name,), output)

    def transpose(self, op: ops.Transpose) -> None:
        """Transpose."""
        output, qparams = self._output(op)
        source = self._matched(op, qparams)
        self._append(steps.Transpose, op, (source.name,), output, permutation=op.permutation)

    def softmax(self, op: ops.Softmax) -> None:
        """Softmax: a table of exponentials of the distance to the largest code."""
        source, given = self._input(op)
        output, qparams = self._output(op)
        if qparams != SOFTMAX_QPARAMS:
            raise ValueError(f"the output of {op.name} is quantized with {qparams}, not {SOFTMAX_QPARAMS}")
        channels = source.shape[-1]
        k = min(23, 31 - math.ceil(math.log2(channels)))
        distances = np.arange(source.highest_code + 1, dtype=np.float64)
        table = np.rint(np.exp(-given.scale * distances) * 2**k).astype(np.uint32)
        self._append(steps.Softmax, op, (source.name,), output, exponentials=table)

    def argmax(self, op: ops.ArgMax) -> None:
        """ArgMax."""
        output = self._declare(self.graph.tensor(op.output))
        self._append(steps.ArgMax, op, op.inputs, output)


def _qparams(tensor: Tensor) -> QParams:
    if tensor.qparams is None:
        raise ValueError(f"tensor {tensor.name} is not quantized")
    return tensor.qparams
