"""Collects ONNX nodes and initializers, and keeps track of layouts.

A tensor of four axes is NHWC in the graph and NCHW in the exported model; all others are the same in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from quantmcu.ir.graph import Graph

TO_NCHW = (0, 3, 1, 2)
TO_NHWC = (0, 2, 3, 1)


def onnx_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape that the exported model has for a tensor of `shape`."""
    return tuple(shape[axis] for axis in TO_NCHW) if len(shape) == 4 else tuple(shape)


def onnx_axis(axis: int, rank: int) -> int:
    """The axis of the exported tensor that is our axis `axis`."""
    return TO_NCHW.index(axis) if rank == 4 else axis


def to_onnx_layout(values: NDArray[Any]) -> NDArray[Any]:
    """An array in our layout as the exported model has it."""
    return values.transpose(TO_NCHW) if values.ndim == 4 else values


def from_onnx_layout(values: NDArray[Any]) -> NDArray[Any]:
    """An array that the exported model computed, in our layout."""
    return values.transpose(TO_NHWC) if values.ndim == 4 else values


class Writer:
    """The ONNX graph under construction.

    Attributes:
        graph: what is exported.
        nodes, initializers: what was written so far.
        opset: version of the operator set.
    """

    def __init__(self, graph: Graph, opset: int) -> None:
        self.graph = graph
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._names = {*graph.tensors}
        self._node_names: set[str] = set()
        self._written: dict[str, str] = {}
        self._aliases: dict[str, str] = {}

    def fresh(self, wanted: str) -> str:
        """A value name that nothing has yet."""
        return _unique(wanted, self._names)

    def write_to(self, tensor: str, value: str) -> None:
        """Makes the operator that computes `tensor` write `value`: the tensor's own name is for what follows."""
        self._written[tensor] = value
        self._aliases[tensor] = value

    def written(self, tensor: str) -> str:
        """The value that the operator that computes `tensor` writes."""
        return self._written.get(tensor, tensor)

    def alias(self, tensor: str, value: str) -> None:
        """Makes readers of `tensor` read `value` from now on (for example its dequantized form)."""
        self._aliases[tensor] = value

    def read(self, tensor: str) -> str:
        """The value that readers of `tensor` use."""
        return self._aliases.get(tensor, tensor)

    def constant(self, values: NDArray[Any] | np.generic, wanted: str) -> str:
        """Adds an initializer and returns its name."""
        name = self.fresh(wanted)
        self.initializers.append(numpy_helper.from_array(np.array(values, order="C"), name))
        return name

    def integers(self, kind: int, codes: NDArray[Any], wanted: str) -> str:
        """Adds an initializer of an integer type (`TensorProto.INT8`, `UINT4`, ...) and returns its name."""
        name = self.fresh(wanted)
        if kind in (TensorProto.INT8, TensorProto.UINT8):
            made = helper.make_tensor(name, kind, codes.shape, codes.tobytes(), raw=True)
        else:
            made = helper.make_tensor(name, kind, codes.shape, codes.flatten().tolist())
        self.initializers.append(made)
        return name

    def node(self, operator: str, inputs: Sequence[str], output: str, name: str, **attributes: Any) -> str:
        """Adds a node and returns its output."""
        unique = _unique(name, self._node_names)
        self.nodes.append(helper.make_node(operator, list(inputs), [output], name=unique, **attributes))
        return output

    def to_nhwc(self, value: str, rank: int, name: str) -> str:
        """`value` in our layout."""
        return self._transposed(value, TO_NHWC, rank, f"{name}_nhwc")

    def from_nhwc(self, value: str, output: str, rank: int, name: str) -> str:
        """Writes `value`, which is in our layout, to `output`."""
        if rank == 4:
            return self.node("Transpose", [value], output, f"{name}_nchw", perm=TO_NCHW)
        return self.node("Identity", [value], output, f"{name}_copy")

    def inner(self, output: str, rank: int) -> str:
        """Where to write a result in our layout before `from_nhwc`; `output` itself unless it has four axes."""
        return self.fresh(f"{output}_nhwc") if rank == 4 else output

    def _transposed(self, value: str, permutation: tuple[int, ...], rank: int, name: str) -> str:
        if rank != 4:
            return value
        return self.node("Transpose", [value], self.fresh(name), name, perm=permutation)

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Shape of one of the graph's tensors, in our layout."""
        return self.graph.tensor(tensor).shape


def _unique(wanted: str, taken: set[str]) -> str:
    name, number = wanted, 0
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    taken.add(name)
    return name
