"""The graph: an immutable list of operators in execution order, and the tensors between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from quantmcu.ir.ops import Op
from quantmcu.ir.tensor import Tensor


@dataclass(frozen=True, eq=False)
class Graph:
    """A network.

    Attributes:
        name: of the model.
        inputs, outputs: names of tensors, in the order of the ONNX model.
        ops: in an order in which every tensor is written before it is read.
        tensors: by name, constants included; every one is an input, a constant or the output of one operator.
        input_layouts, output_layouts: per input and output, the permutation from the ONNX model's axes to the axes of
            our tensor: ours = onnx.transpose(layout), e.g. (0, 2, 3, 1) where the model is NCHW and the firmware reads
            NHWC; None where they are the same.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    ops: tuple[Op, ...]
    tensors: Mapping[str, Tensor]
    input_layouts: tuple[tuple[int, ...] | None, ...] = ()
    output_layouts: tuple[tuple[int, ...] | None, ...] = ()

    @cached_property
    def producers(self) -> Mapping[str, Op]:
        """The operator that writes a tensor; inputs and constants have none."""
        return {name: op for op in self.ops for name in op.outputs}

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Op, ...]]:
        """The operators that read a tensor, in execution order, once each."""
        readers: dict[str, list[Op]] = {name: [] for name in self.tensors}
        for op in self.ops:
            for name in dict.fromkeys(op.inputs):
                readers[name].append(op)
        return {name: tuple(ops) for name, ops in readers.items()}

    def tensor(self, name: str) -> Tensor:
        """The tensor called `name`."""
        return self.tensors[name]

    def with_ops(
        self, ops: Iterable[Op], tensors: Mapping[str, Tensor] | Iterable[Tensor] = (), **changes: object
    ) -> Graph:
        """A copy with these operators; `tensors` are added or replaced, and those that nothing uses are dropped.

        Operators may come in any order: they are sorted topologically, ties by the given order.
        """
        extra = tensors.values() if isinstance(tensors, Mapping) else tensors
        known = dict(self.tensors) | {tensor.name: tensor for tensor in extra}
        graph = replace(self, ops=tuple(ops), **changes)  # type: ignore[arg-type]
        used = set(graph.inputs) | set(graph.outputs)
        for op in graph.ops:
            used.update(op.inputs, op.outputs)
        ordered = sort_ops(graph.ops, set(graph.inputs) | {t.name for t in known.values() if t.data is not None})
        return replace(graph, ops=ordered, tensors={name: tensor for name, tensor in known.items() if name in used})

    def with_tensors(self, tensors: Iterable[Tensor]) -> Graph:
        """A copy in which these tensors replace those of the same names."""
        return replace(self, tensors=dict(self.tensors) | {tensor.name: tensor for tensor in tensors})


def sort_ops(ops: Iterable[Op], available: set[str]) -> tuple[Op, ...]:
    """`ops` in execution order, given the tensors that are `available` at the start.

    Raises:
        ValueError: a cycle, or a tensor that nothing writes.
    """
    waiting = list(ops)
    done = set(available)
    ordered: list[Op] = []
    while waiting:
        first = next((op for op in waiting if done.issuperset(op.inputs)), None)
        if first is None:
            missing = sorted({name for op in waiting for name in op.inputs} - done)
            raise ValueError(f"cycle, or tensors that nothing writes: {', '.join(missing)}")
        waiting.remove(first)
        ordered.append(first)
        done.update(first.outputs)
    return tuple(ordered)
