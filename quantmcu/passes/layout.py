"""Removes the Transposes that the import left where something else can absorb them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from quantmcu.ir import ops
from quantmcu.ir.graph import Graph
from quantmcu.ir.ops import Op
from quantmcu.ir.tensor import Tensor
from quantmcu.passes.rewrite import Rewrite, apply_rule, bypass, fresh_tensor, only_reader


def absorb_transposes(graph: Graph) -> Graph:
    """Folds Transposes into the columns of a Dense layer behind a flattening, and into the layout of network inputs."""
    graph = apply_rule(graph, _into_dense)
    for name in graph.inputs:
        graph = _into_input(graph, name)
    return graph


def _into_dense(graph: Graph, op: Op) -> Rewrite | None:
    if not isinstance(op, ops.Dense) or math.prod(graph.tensor(op.inputs[0]).shape[:-1]) != 1:
        return None
    reshape = graph.producers.get(op.inputs[0])
    transpose = graph.producers.get(reshape.inputs[0]) if isinstance(reshape, ops.Reshape) else None
    if reshape is None or not isinstance(transpose, ops.Transpose):
        return None
    moved = graph.tensor(transpose.output).shape
    # the flat index before the Transpose of each element behind it
    index = (
        np.arange(math.prod(moved)).reshape(graph.tensor(transpose.inputs[0]).shape).transpose(transpose.permutation)
    )
    weight = np.empty_like(op.weight)
    weight[:, index.reshape(-1)] = op.weight
    flat = Tensor(fresh_tensor(graph, f"{transpose.inputs[0]}_flat"), graph.tensor(op.inputs[0]).shape)
    flatten = replace(reshape, inputs=transpose.inputs, outputs=(flat.name,))
    dense = replace(op, inputs=(flat.name,), weight=weight)
    removed = (op, reshape) if only_reader(graph, reshape.output) is op else (op,)
    return Rewrite(removed, (flatten, dense), (flat,))


def _into_input(graph: Graph, name: str) -> Graph:
    readers = graph.consumers[name]
    first = readers[0] if readers else None
    if not isinstance(first, ops.Transpose) or name in graph.outputs:
        return graph
    if not all(isinstance(op, ops.Transpose) and op.permutation == first.permutation for op in readers):
        return graph
    removals = [bypass(graph, op, name) for op in readers]
    if None in removals:
        return graph
    index = graph.inputs.index(name)
    layouts = [*graph.input_layouts, *[None] * (len(graph.inputs) - len(graph.input_layouts))]
    known = layouts[index] or tuple(range(len(first.permutation)))
    layouts[index] = tuple(known[axis] for axis in first.permutation)
    forward = {op.output: name for op in readers}
    kept = [replace(op, inputs=tuple(forward.get(i, i) for i in op.inputs)) for op in graph.ops if op not in readers]
    stored = replace(graph.tensor(name), shape=graph.tensor(first.output).shape)
    return graph.with_ops(kept, [stored], input_layouts=tuple(layouts))
