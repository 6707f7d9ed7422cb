"""Operators that select, pad or reorder elements."""

from __future__ import annotations

from quantmcu.frontend.builder import Builder
from quantmcu.frontend.node import Node, View
from quantmcu.frontend.operators.axes import normalized
from quantmcu.frontend.registry import UnsupportedError, operator
from quantmcu.ir import ops


@operator("Transpose", attributes=("perm",))
def transpose(node: Node, builder: Builder) -> None:
    """Seen through another permutation; memory moves only where something depends on it."""
    x = node.activation()
    permutation = tuple(node.attribute("perm") or reversed(range(len(x.permutation))))
    if sorted(permutation) != list(range(len(x.permutation))):
        raise UnsupportedError(
            f"the input has {len(x.permutation)} axes", "export the model again", f"perm = {list(permutation)}"
        )
    builder.set(node, View(x.tensor, tuple(x.permutation[axis] for axis in permutation)))


@operator("Slice", limits="bounds constant, steps positive")
def slice_(node: Node, builder: Builder) -> None:
    """Slice -> Slice."""
    x = node.activation()
    shape = builder.shape(x)
    starts, ends = node.integers(1, "list of starts"), node.integers(2, "list of ends")
    axes = node.integers(3, "list of axes") if node.has(3) else list(range(len(starts)))
    steps = node.integers(4, "list of steps") if node.has(4) else [1] * len(starts)
    ranges = {axis: (0, size, 1) for axis, size in enumerate(shape)}
    for given, start, end, step in zip(axes, starts, ends, steps, strict=True):
        axis = normalized(node, given, len(shape), "axes")
        if step < 1:
            raise UnsupportedError(
                "only positive steps are supported", "reverse the data outside the network", f"steps = {steps}"
            )
        low, high, _ = slice(start, end, step).indices(shape[axis])
        if low >= high:
            raise UnsupportedError("the result has no elements", "remove the node", f"starts = {starts}, ends = {ends}")
        ranges[axis] = low, high, step
    stored = [ranges[x.permutation.index(axis)] for axis in range(len(shape))]
    tensor = builder.emit(
        ops.Slice,
        node,
        [x.tensor],
        starts=tuple(r[0] for r in stored),
        ends=tuple(r[1] for r in stored),
        steps=tuple(r[2] for r in stored),
    )
    builder.set(node, View(tensor, x.permutation))


@operator("Pad", attributes=("mode",), limits="amounts constant and not negative; modes constant, reflect, edge")
def pad(node: Node, builder: Builder) -> None:
    """Pad -> Pad."""
    x = node.activation()
    rank = len(builder.shape(x))
    amounts = node.integers(1, "amounts of padding")
    axes = node.integers(3, "list of axes") if node.has(3) else list(range(rank))
    mode = node.require("mode", "constant", ("constant", "reflect", "edge"), "pad with a constant")
    if len(amounts) != 2 * len(axes):
        raise UnsupportedError(f"{2 * len(axes)} amounts are expected", "export the model again", f"pads = {amounts}")
    if min(amounts, default=0) < 0:
        raise UnsupportedError(
            "negative padding is not supported", "crop with a Slice node instead", f"pads = {amounts}"
        )
    before, after = [0] * rank, [0] * rank
    for index, given in enumerate(axes):
        axis = x.permutation[normalized(node, given, rank, "axes")]
        before[axis], after[axis] = amounts[index], amounts[index + len(axes)]
    value = float(node.floats(2, "value of the padding").reshape(-1)[0]) if node.has(2) else 0.0
    tensor = builder.emit(ops.Pad, node, [x.tensor], before=tuple(before), after=tuple(after), mode=mode, value=value)
    builder.set(node, View(tensor, x.permutation))
