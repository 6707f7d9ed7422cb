"""Which tensors have the same quantization parameters."""

from __future__ import annotations

from collections.abc import Mapping

from quantmcu.ir import Graph, QParams, ops

MOVES_VALUES: tuple[type[ops.Op], ...] = (ops.MaxPool, ops.Slice, ops.Pad, ops.Reshape, ops.Transpose, ops.Resize)
"""Operators whose kernels move (or compare, or interpolate) codes: their output has the scale of their input."""


def sharing_groups(graph: Graph, fixed: Mapping[str, QParams]) -> tuple[tuple[str, ...], ...]:
    """Partition of the graph's tensors (indices excepted) into groups that share quantization parameters.

    Input and output of an operator that moves values share. An input of a concatenation takes the output's parameters,
    which makes joining a copy, unless that would cost precision elsewhere: it, or something that shares with it, is a
    graph output, is read by another operator, or its parameters are `fixed`. (Inputs all fixed alike do share.)
    """
    groups = _Groups([name for name, tensor in graph.tensors.items() if not tensor.is_index])
    for op in graph.ops:
        if isinstance(op, MOVES_VALUES):
            groups.join(op.inputs[0], op.output)
    for op in graph.ops:
        if isinstance(op, ops.Concat):
            _join_concat(graph, op, groups, fixed)
    return groups.all()


def _join_concat(graph: Graph, op: ops.Concat, groups: _Groups, fixed: Mapping[str, QParams]) -> None:
    parameters = {name: _fixed_of(groups.of(name), fixed) for name in op.inputs}
    alike = len(set(parameters.values())) == 1
    for name, given in parameters.items():
        if (alike and given is not None) or (given is None and _serves_only(graph, groups.of(name), op)):
            groups.join(op.output, name)


def _fixed_of(group: tuple[str, ...], fixed: Mapping[str, QParams]) -> QParams | None:
    return next((fixed[name] for name in group if name in fixed), None)


def _serves_only(graph: Graph, group: tuple[str, ...], concat: ops.Concat) -> bool:
    """Whether nothing but `concat`, and operators inside the group, reads the tensors of `group`."""
    if concat.output in group:
        return True
    return not any(
        name in graph.outputs
        or any(reader is not concat and not set(reader.outputs) <= set(group) for reader in graph.consumers[name])
        for name in group
    )


class _Groups:
    """Disjoint sets; the members of each in the order of the graph's tensors."""

    def __init__(self, names: list[str]) -> None:
        self._order = {name: position for position, name in enumerate(names)}
        self._members: dict[str, tuple[str, ...]] = {name: (name,) for name in names}

    def of(self, name: str) -> tuple[str, ...]:
        """The set that holds `name`."""
        return self._members[name]

    def join(self, first: str, second: str) -> None:
        """Makes one set of the two."""
        joined = tuple(sorted({*self.of(first), *self.of(second)}, key=self._order.__getitem__))
        for name in joined:
            self._members[name] = joined

    def all(self) -> tuple[tuple[str, ...], ...]:
        """The sets, by their first members."""
        return tuple(dict.fromkeys(self._members.values()))
