"""Collects the operators and tensors that the handlers emit, and keeps track of layouts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from quantmcu.frontend.node import Node, Value, View
from quantmcu.frontend.registry import UnsupportedError
from quantmcu.ir import ops
from quantmcu.ir.ops import Op
from quantmcu.ir.shapes import Shape, output_shape
from quantmcu.ir.tensor import Tensor

MAX_RANK = 6
"""As QUANTMCU_MAX_RANK of firmware/runtime/quantmcu.h."""
NHWC_TO_NCHW = (0, 3, 1, 2)
"""How ONNX sees a map that is stored NHWC."""


def channels_last(rank: int) -> tuple[int, ...]:
    """The permutation through which ONNX sees a tensor of `rank` axes whose channels (axis 1) are stored last."""
    return (0, rank - 1, *range(1, rank - 1)) if rank > 1 else tuple(range(rank))


def inverse(permutation: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes `permutation`."""
    return tuple(int(axis) for axis in np.argsort(permutation))


class Builder:
    """The graph under construction.

    Attributes:
        ops, tensors: what was emitted so far.
        values: the ONNX values known so far, by ONNX name.
    """

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.tensors: dict[str, Tensor] = {}
        self.values: dict[str, Value] = {}
        self._op_names: set[str] = set()
        self._reserved: set[str] = set()
        self._moved: dict[tuple[str, tuple[int, ...]], str] = {}

    # -- names ----------------------------------------------------------------------------------------------------

    def reserve(self, names: Sequence[str]) -> None:
        """Keeps tensor names for the values of the ONNX model that have them."""
        self._reserved.update(names)

    def _unique(self, wanted: str, taken: set[str]) -> str:
        candidates = itertools.chain([wanted], (f"{wanted}_{i}" for i in itertools.count(1)))
        return next(name for name in candidates if name not in taken)

    def tensor_name(self, wanted: str) -> str:
        """A tensor name that nothing has yet: `wanted`, with a number where needed."""
        return self._unique(wanted, {*self.tensors, *self._reserved})

    def rename(self, tensor: str, wanted: str) -> None:
        """Gives a tensor another name."""
        name = self.tensor_name(wanted)
        self.tensors[name] = replace(self.tensors.pop(tensor), name=name)
        swap = {tensor: name}
        self.ops = [
            replace(
                op,
                inputs=tuple(swap.get(i, i) for i in op.inputs),
                outputs=tuple(swap.get(o, o) for o in op.outputs),
            )
            for op in self.ops
        ]
        self.values = {
            key: View(name, value.permutation) if isinstance(value, View) and value.tensor == tensor else value
            for key, value in self.values.items()
        }

    # -- values ---------------------------------------------------------------------------------------------------

    def stored_shape(self, view: View) -> Shape:
        """Shape in memory."""
        return self.tensors[view.tensor].shape

    def shape(self, value: Value) -> Shape:
        """Shape as ONNX sees it."""
        if isinstance(value, View):
            stored = self.stored_shape(value)
            return tuple(stored[axis] for axis in value.permutation)
        return value.shape

    def is_index(self, value: Value) -> bool:
        """Whether a value is the result of ArgMax."""
        return isinstance(value, View) and self.tensors[value.tensor].is_index

    def set(self, node: Node, value: Value, output: int = 0) -> None:
        """Records the value of an output of `node`."""
        if output < len(node.outputs) and node.outputs[output]:
            self.values[node.outputs[output]] = value

    def constant(self, values: NDArray[np.float32], name: str) -> str:
        """Adds a constant tensor and returns its name."""
        name = self.tensor_name(name)
        self.tensors[name] = Tensor(name, values.shape, np.ascontiguousarray(values, np.float32))
        return name

    # -- operators ------------------------------------------------------------------------------------------------

    def emit(
        self,
        kind: type[Op],
        node: Node,
        inputs: Sequence[str],
        *,
        shape: Shape | None = None,
        output: int | None = 0,
        suffix: str = "",
        is_index: bool = False,
        **attributes: Any,
    ) -> str:
        """Adds an operator and returns the name of the tensor that it writes.

        Args:
            kind: class of the operator.
            node: ONNX node that it comes from; gives the names.
            inputs: tensors read.
            shape: of the output, where the operator's rule leaves it open.
            output: which output of the node it writes (the tensor gets its name); None for a value inside the node.
            suffix: for the names of operators beside the node's main one.
            is_index: whether the output holds indices.
            attributes: of the operator.

        Raises:
            UnsupportedError: the operands do not fit the operator.
        """
        name = self._unique(node.name + suffix, self._op_names)
        self._op_names.add(name)
        if output is not None and node.outputs[output] not in self.tensors:
            written = node.outputs[output]
        else:
            written = self.tensor_name(node.outputs[0] + suffix)
        op = kind(name=name, inputs=tuple(inputs), outputs=(written,), **attributes)
        if shape is None:
            try:
                shape = output_shape(op, [self.tensors[i].shape for i in inputs])
            except ValueError as error:
                raise UnsupportedError(
                    f"its operands do not fit: {error}", "the model is malformed; export it again"
                ) from error
        assert shape is not None
        if 0 in shape:
            raise UnsupportedError(
                f"its output has the shape {shape}, without elements", "remove the node from the model"
            )
        if len(shape) > MAX_RANK:
            raise UnsupportedError(f"its output has {len(shape)} axes", f"use at most {MAX_RANK} axes")
        self.ops.append(op)
        self.tensors[written] = Tensor(written, shape, is_index=is_index)
        return written

    def reshape(
        self, node: Node, tensor: str, shape: Shape, suffix: str = "_reshape", output: int | None = None
    ) -> str:
        """`tensor` under another shape; the tensor itself where the shape is the same."""
        if self.tensors[tensor].shape == shape:
            return tensor
        is_index = self.tensors[tensor].is_index
        return self.emit(ops.Reshape, node, [tensor], shape=shape, output=output, suffix=suffix, is_index=is_index)

    def transpose(self, node: Node, tensor: str, permutation: tuple[int, ...]) -> str:
        """`tensor` with its axes permuted in memory; a Reshape where only axes of size 1 move."""
        if permutation == tuple(range(len(permutation))):
            return tensor
        key = tensor, permutation
        if key not in self._moved:
            shape = self.tensors[tensor].shape
            moved = [axis for axis in permutation if shape[axis] > 1]
            result = tuple(shape[axis] for axis in permutation)
            if moved == sorted(moved):
                self._moved[key] = self.reshape(node, tensor, result)
            else:
                self._moved[key] = self.emit(
                    ops.Transpose,
                    node,
                    [tensor],
                    permutation=permutation,
                    output=None,
                    suffix="_transpose",
                    is_index=self.tensors[tensor].is_index,
                )
        return self._moved[key]

    # -- layouts --------------------------------------------------------------------------------------------------

    def stored(self, node: Node, value: View, permutation: tuple[int, ...]) -> str:
        """The tensor that ONNX sees as `value` through `permutation`; a Transpose only where memory has to move."""
        return self.transpose(node, value.tensor, tuple(value.permutation[axis] for axis in inverse(permutation)))

    def nhwc(self, node: Node, value: View) -> str:
        """The feature map that ONNX sees as NCHW (or NCL, of height 1 then), stored NHWC."""
        shape = self.shape(value)
        if len(shape) not in (3, 4):
            kind = f"{len(shape) - 2}-D" if len(shape) > 4 else f"rank-{len(shape)}"
            raise UnsupportedError(f"{kind} data of shape {list(shape)}", "only 1-D and 2-D spatial data are supported")
        tensor = self.stored(node, value, channels_last(len(shape)))
        if len(shape) == 4:
            return tensor
        batch, length, channels = self.tensors[tensor].shape
        return self.reshape(node, tensor, (batch, 1, length, channels))

    def from_nhwc(self, node: Node, tensor: str, rank: int) -> View:
        """How ONNX sees the NHWC map `tensor`: as NCHW, or as NCL where `rank` is 3."""
        if rank == 3:
            batch, _, length, channels = self.tensors[tensor].shape
            tensor = self.reshape(node, tensor, (batch, length, channels))
        return View(tensor, channels_last(rank))

    def with_last(self, node: Node, value: View, axis: int) -> View:
        """`value` stored with ONNX's axis `axis` last and the others as they are."""
        position = value.permutation[axis]
        order = [*(a for a in range(len(value.permutation)) if a != position), position]
        permutation = tuple(order.index(a) for a in value.permutation)
        return View(self.stored(node, value, permutation), permutation)

    @overload
    def with_rank(self, node: Node, value: View, rank: int) -> View: ...
    @overload
    def with_rank(self, node: Node, value: Value, rank: int) -> Value: ...
    def with_rank(self, node: Node, value: Value, rank: int) -> Value:
        """`value` with axes of size 1 in front until it has `rank` axes, as broadcasting does."""
        extra = rank - len(self.shape(value))
        if extra <= 0:
            return value
        if not isinstance(value, View):
            return value.reshape((1,) * extra + value.shape)
        tensor = self.reshape(node, value.tensor, (1,) * extra + self.stored_shape(value))
        return View(tensor, (*range(extra), *(axis + extra for axis in value.permutation)))

    def reshaped(self, node: Node, value: View, shape: Shape, output: int | None = 0) -> View:
        """The ONNX value `value` under the ONNX shape `shape`, keeping the order in memory wherever that is possible.

        Axes are matched in groups of equal size ((C, H, W) -> (2, C/2, H, W) has the groups C -> 2, C/2; H; W). Only an
        axis order within a group has to agree with memory; the groups may stay where they are.
        """
        old = self.shape(value)
        if math.prod(old) != math.prod(shape):
            raise UnsupportedError(
                f"{list(old)} cannot become {list(shape)}",
                "the model has a fixed batch other than 1, or is malformed; export it with batch 1",
            )
        groups = _groups(old, shape)
        by_memory = sorted(groups, key=lambda group: min(value.permutation[axis] for axis in group[0]))
        memory = [value.permutation[axis] for group in by_memory for axis in group[0]]
        tensor = value.tensor
        if memory != sorted(memory):
            units = [axis for axis, size in enumerate(self.stored_shape(value)) if size == 1]
            tensor = self.transpose(node, tensor, (*units, *memory))
        order = _axis_order(shape, [axis for group in by_memory for axis in group[1]])
        result = self.reshape(node, tensor, tuple(shape[axis] for axis in order), suffix="", output=output)
        return View(result, inverse(order))


def _groups(old: Shape, new: Shape) -> list[tuple[list[int], list[int]]]:
    """The finest groups of axes of size > 1 of `old` and of `new`, both in order, that hold equally many elements."""
    groups = []
    i = j = 0
    old_axes = [axis for axis, size in enumerate(old) if size > 1]
    new_axes = [axis for axis, size in enumerate(new) if size > 1]
    while i < len(old_axes):
        left, right = [old_axes[i]], [new_axes[j]]
        i, j = i + 1, j + 1
        while (have := math.prod(old[a] for a in left)) != (want := math.prod(new[a] for a in right)):
            if have < want:
                left.append(old_axes[i])
                i += 1
            else:
                right.append(new_axes[j])
                j += 1
        groups.append((left, right))
    return groups


def _axis_order(shape: Shape, memory: list[int]) -> tuple[int, ...]:
    """An order of all axes in memory, those of size > 1 as in `memory`: ONNX's own, or channels last, if possible."""
    rank = len(shape)
    units = [axis for axis, size in enumerate(shape) if size == 1]
    candidates = tuple(range(rank)), inverse(channels_last(rank))
    return next((order for order in candidates if [a for a in order if a not in units] == memory), (*units, *memory))
