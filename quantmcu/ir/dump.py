"""A graph as text, for people, logs and golden tests. The same graph always gives the same text."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from quantmcu.ir.graph import Graph
from quantmcu.ir.ops import Clamp, Op
from quantmcu.ir.tensor import QParams, QuantizedWeights, Tensor


def dump(graph: Graph) -> str:
    """One line for each input, constant, operator and output, in execution order."""
    lines = [f"graph {graph.name}"]
    for kind, names, layouts in (
        ("input", graph.inputs, graph.input_layouts),
        ("output", graph.outputs, graph.output_layouts),
    ):
        for index, name in enumerate(names):
            layout = layouts[index] if index < len(layouts) else None
            lines.append(f"{kind} {_tensor(graph.tensor(name))}" + (f" layout={_text(layout)}" if layout else ""))
    lines += [f"constant {_tensor(tensor)}" for tensor in graph.tensors.values() if tensor.data is not None]
    lines += [_op(op, graph) for op in graph.ops]
    return "\n".join(lines) + "\n"


def _tensor(tensor: Tensor) -> str:
    text = f"{tensor.name}[{', '.join(map(str, tensor.shape))}]"
    if tensor.is_index:
        text += " int32"
    if tensor.qparams is not None:
        text += f" {_text(tensor.qparams)}"
    return text


def _op(op: Op, graph: Graph) -> str:
    outputs = ", ".join(_tensor(graph.tensor(name)) for name in op.outputs)
    shown = [f for f in fields(op) if f.name not in ("name", "inputs", "outputs")]
    attributes = [f"{f.name}={_text(getattr(op, f.name))}" for f in shown if getattr(op, f.name) is not None]
    return f"{outputs} = {type(op).__name__}({', '.join([*op.inputs, *attributes])})  # {op.name}"


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype}[{', '.join(map(str, value.shape))}]"
    if isinstance(value, Clamp):
        return f"clamp({value.low:g}, {value.high:g})"
    if isinstance(value, QParams):
        return f"u{value.bits}(scale={value.scale:.9g}, zero_point={value.zero_point})"
    if isinstance(value, QuantizedWeights):
        return f"s{value.bits}{_text(value.codes)}"
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, tuple):
        return "(" + ", ".join(_text(item) for item in value) + ")"
    return str(value)
