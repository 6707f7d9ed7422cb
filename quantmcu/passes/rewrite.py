"""What the passes share: local rewrites, applied until none applies any more."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, replace

from quantmcu.ir.graph import Graph
from quantmcu.ir.ops import Op
from quantmcu.ir.tensor import Tensor
from quantmcu.passes.dead_code import remove_dead_code

Pass = Callable[[Graph], Graph]


@dataclass(frozen=True)
class Rewrite:
    """A local change.

    Attributes:
        remove, add: operators.
        tensors: new or changed tensors.
        forward: readers of a key read its value from now on.
    """

    remove: tuple[Op, ...]
    add: tuple[Op, ...] = ()
    tensors: tuple[Tensor, ...] = ()
    forward: Mapping[str, str] = field(default_factory=dict)


Rule = Callable[[Graph, Op], Rewrite | None]


def apply_rule(graph: Graph, rule: Rule) -> Graph:
    """The graph after applying `rule` to each operator until it applies nowhere, without what became unused."""
    changed = True
    while changed:
        changed = False
        for op in graph.ops:
            if graph.producers.get(op.output) is not op:  # rewritten meanwhile
                continue
            found = rule(graph, op)
            if found is not None:
                graph = apply_rewrite(graph, found)
                changed = True
    return remove_dead_code(graph)


def apply_rewrite(graph: Graph, change: Rewrite) -> Graph:
    """The graph after one change; new operators stand where the last removed one stood, under names of their own."""
    removed = {id(op) for op in change.remove}
    last = max(index for index, op in enumerate(graph.ops) if id(op) in removed)
    names = {op.name for op in graph.ops if id(op) not in removed}
    added: list[Op] = []
    for op in change.add:
        added.append(_forwarded(replace(op, name=_fresh(op.name, names)), change.forward))
        names.add(added[-1].name)
    ops: list[Op] = []
    for index, op in enumerate(graph.ops):
        if id(op) not in removed:
            ops.append(_forwarded(op, change.forward))
        if index == last:
            ops += added
    return graph.with_ops(ops, change.tensors)


def _forwarded(op: Op, forward: Mapping[str, str]) -> Op:
    if not any(name in forward for name in op.inputs):
        return op
    return replace(op, inputs=tuple(forward.get(name, name) for name in op.inputs))


def bypass(graph: Graph, op: Op, source: str) -> Rewrite | None:
    """Removes `op`, whose output equals the tensor `source`; None where both names have to stay."""
    if op.output not in graph.outputs:
        return Rewrite((op,), forward={op.output: source})
    producer = graph.producers.get(source)
    if producer is None or source in graph.outputs:
        return None
    renamed = replace(producer, outputs=(op.output,))
    return Rewrite((op, producer), (renamed,), forward={source: op.output})


def only_reader(graph: Graph, tensor: str) -> Op | None:
    """The operator that reads `tensor`, where it is the only use."""
    readers = graph.consumers[tensor]
    return readers[0] if len(readers) == 1 and tensor not in graph.outputs else None


def private_producer(graph: Graph, tensor: str) -> Op | None:
    """The operator that computes `tensor`, where exactly one operator uses it and it is no output of the network."""
    return graph.producers.get(tensor) if only_reader(graph, tensor) is not None else None


def fresh_tensor(graph: Graph, wanted: str) -> str:
    """A tensor name that nothing has yet."""
    return _fresh(wanted, graph.tensors)


def _fresh(wanted: str, taken: Container[str]) -> str:
    name, number = wanted, 0
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name
