"""Quantization parameters of every activation and constant operand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from quantmcu.ir import Graph, QParams, Tensor, ops
from quantmcu.quant.calibration import Calibration
from quantmcu.quant.ranges import Range, qparams_of_range
from quantmcu.quant.sharing import MOVES_VALUES, sharing_groups

Bits = int | Mapping[str, int]
"""One number of bits for all, or by name (8 where a name is missing)."""


def bits_of(name: str, bits: Bits) -> int:
    """The number of bits for `name`."""
    return bits if isinstance(bits, int) else bits.get(name, 8)


def activation_tensors(graph: Graph, calibration: Calibration, bits: Bits) -> tuple[Tensor, ...]:
    """All tensors of `graph` but indices, with quantization parameters. Those that are there already stay.

    A group of tensors that share parameters gets the union of its members' ranges, and the fewest bits of its members.
    """
    fixed = {name: t.qparams for name, t in graph.tensors.items() if t.qparams is not None} | fixed_qparams(graph, bits)
    tensors: list[Tensor] = []
    for group in sharing_groups(graph, fixed):
        members = [graph.tensor(name) for name in group]
        qparams = next((fixed[name] for name in group if name in fixed), None)
        if qparams is None:
            qparams = shared_qparams(graph, calibration, group, min(bits_of(name, bits) for name in group))
        tensors += [replace(tensor, qparams=qparams) for tensor in members]
    return tuple(tensors)


def shared_qparams(graph: Graph, calibration: Calibration, group: Sequence[str], bits: int) -> QParams:
    """Parameters with so many bits for the union of the ranges of the tensors `group`."""
    ranges = [_range(graph, calibration, graph.tensor(name), bits) for name in group]
    return qparams_of_range(min(low for low, _ in ranges), max(high for _, high in ranges), bits)


def fixed_qparams(graph: Graph, bits: Bits) -> dict[str, QParams]:
    """Outputs of functions with known bounds: these follow from the function, not from data.

    Softmax always has 8 bits, scale 1/256 (docs/numerics.md); sigmoids 0 .. 1; tanh -1 .. 1.
    """
    fixed: dict[str, QParams] = {}
    for op in graph.ops:
        if isinstance(op, ops.Softmax):
            fixed[op.output] = QParams(8, 1 / 256, 0)
        elif isinstance(op, ops.Unary) and op.function in ("sigmoid", "hard_sigmoid"):
            width = bits_of(op.output, bits)
            fixed[op.output] = QParams(width, 2.0**-width, 0)
        elif isinstance(op, ops.Unary) and op.function == "tanh":
            width = bits_of(op.output, bits)
            fixed[op.output] = QParams(width, 2.0 ** (1 - width), 2 ** (width - 1))
    return fixed


def moved_groups(graph: Graph) -> Mapping[str, tuple[str, ...]]:
    """Groups whose members are all moved from the first, by its name; those with given parameters are left out."""
    given = {n: t.qparams for n, t in graph.tensors.items() if t.qparams is not None} | fixed_qparams(graph, 8)
    found = {}
    for group in sharing_groups(graph, given):
        moved = all(isinstance(graph.producers.get(name), MOVES_VALUES) for name in group[1:])
        if moved and not given.keys() & set(group) and graph.tensor(group[0]).data is None:
            found[group[0]] = group
    return found


def _range(graph: Graph, calibration: Calibration, tensor: Tensor, bits: int) -> Range:
    """What the tensor's codes have to cover."""
    low, high = calibration.range(tensor, bits)
    padding = graph.producers.get(tensor.name)
    if isinstance(padding, ops.Pad) and padding.mode == "constant":
        low, high = min(low, padding.value), max(high, padding.value)
    return low, high
