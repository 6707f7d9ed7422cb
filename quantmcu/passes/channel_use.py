"""Which channels have to be kept: backward propagation of use by channel (the last axis)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from quantmcu.ir import ops
from quantmcu.ir.graph import Graph
from quantmcu.ir.ops import Op
from quantmcu.passes.affine import input_channels
from quantmcu.passes.channel_values import Values, folds_into_bias

Mask = NDArray[np.bool_]


def is_selectable(op: Op) -> bool:
    """Whether each output channel has weights of its own that reach all input channels, so that any can be left out."""
    return isinstance(op, ops.Dense) or (isinstance(op, ops.Conv2D) and op.groups == 1)


class ChannelUse:
    """The channels of every tensor that the network's outputs depend on and that are not folded into a bias.

    Where operators tie channels together (both operands of an Add, input and output of a pooling), the masks agree.
    """

    def __init__(self, graph: Graph, values: Mapping[str, Values]) -> None:
        self.graph = graph
        self.values = values
        self.keep: dict[str, Mask] = {
            name: np.zeros(tensor.shape[-1] if tensor.shape else 1, bool) for name, tensor in graph.tensors.items()
        }
        for name in (*graph.inputs, *graph.outputs):
            self.keep[name][:] = True
        self._changed = True
        while self._changed:
            self._changed = False
            for op in reversed(graph.ops):
                self._propagate(op)
            for mask in self.keep.values():
                if not mask.any():  # a tensor without channels cannot be stored
                    mask[0] = self._changed = True

    def _add(self, name: str, mask: Mask) -> None:
        if (mask & ~self.keep[name]).any():
            self.keep[name] |= mask
            self._changed = True

    def _tie(self, names: list[str]) -> None:
        """Makes tensors of as many channels agree."""
        union = np.logical_or.reduce([self.keep[name] for name in names])
        for name in names:
            self._add(name, union)

    def _propagate(self, op: Op) -> None:
        keep, output = self.keep, op.output
        channels = len(keep[output])
        match op:
            case ops.Conv2D() | ops.Dense() if is_selectable(op):
                self._add(op.inputs[0], self._demand(op))
            case ops.Conv2D() if op.is_depthwise and len(op.weight) == op.groups:
                self._tie([op.inputs[0], output])
            case ops.Unary() | ops.PRelu() | ops.MaxPool() | ops.AveragePool() | ops.Resize():
                self._tie([op.inputs[0], output])
            case ops.Add() | ops.Sub() | ops.Mul():
                self._tie([*(name for name in op.inputs if len(keep[name]) == channels), output])
                for name in op.inputs:
                    if len(keep[name]) != channels:
                        self._add(name, np.ones(1, bool))
            case ops.Concat() if op.axis == len(self.graph.tensor(output).shape) - 1:
                self._parts(op)
            case ops.Concat():
                self._tie([*op.inputs, output])
            case ops.Slice() if op.steps[-1] == 1:
                self._window(op.inputs[0], output, op.starts[-1], op.ends[-1])
            case ops.Pad() if op.mode == "constant":
                self._window(output, op.inputs[0], op.before[-1], op.before[-1] + len(keep[op.inputs[0]]))
            case ops.Reshape() if self._repeats(op):
                source = op.inputs[0]
                self._add(source, np.logical_or.reduce(keep[output].reshape(-1, len(keep[source]))))
                self._add(output, np.tile(keep[source], channels // len(keep[source])))
            case ops.Transpose() if op.permutation[-1] == len(op.permutation) - 1:
                self._tie([op.inputs[0], output])
            case _:
                for name in (*op.inputs, output):
                    self._add(name, np.ones(len(keep[name]), bool))

    def _repeats(self, op: Op) -> bool:
        """Whether a Reshape keeps the last axis, or flattens all before it into the last one."""
        source, shape = self.graph.tensor(op.inputs[0]).shape, self.graph.tensor(op.output).shape
        return bool(shape and source) and (shape[-1] == source[-1] or shape[-1] % source[-1] == 0)

    def _demand(self, op: Op) -> Mask:
        """Input channels with a nonzero weight to a kept output channel that do not fold into the bias."""
        assert isinstance(op, (ops.Conv2D, ops.Dense))
        taps = op.weight.reshape(len(op.weight), -1, op.weight.shape[-1])
        used = (taps[self.keep[op.output]] != 0).any(axis=(0, 1))
        assert input_channels(op).shape[1] == len(used)
        return np.asarray(used & ~folds_into_bias(op, self.values[op.inputs[0]]))

    def _parts(self, op: ops.Concat) -> None:
        start = 0
        for name in op.inputs:
            end = start + len(self.keep[name])
            self._window(op.output, name, start, end)
            start = end

    def _window(self, whole: str, part: str, start: int, end: int) -> None:
        """Makes the mask of `part` agree with channels start .. end - 1 of `whole`."""
        mask = np.zeros(len(self.keep[whole]), bool)
        mask[start:end] = self.keep[part]
        self._add(whole, mask)
        self._add(part, self.keep[whole][start:end])
