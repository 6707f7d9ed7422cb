"""A network in integers, with the bits that were chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from quantmcu.ir import Graph, ops
from quantmcu.ir.verify import verify
from quantmcu.program.lower import lower
from quantmcu.program.program import Program

Layer = ops.Conv2D | ops.Dense
"""An operator with weights."""


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """The network in integers.

    Attributes:
        graph: quantized.
        program: lowered from it, without patch stages.
        weight_bits, map_bits: by operator and by tensor, where they are not 8.
        search: what the search for the maps' bits did, for result.json; empty without search.
    """

    graph: Graph
    program: Program
    weight_bits: Mapping[str, int]
    map_bits: Mapping[str, int]
    search: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, graph: Graph, map_bits: Mapping[str, int] | None = None, search: Mapping[str, Any] | None = None
    ) -> QuantizedNetwork:
        """Lowered from the quantized `graph`; `map_bits` may name tensors of 8 bits too."""
        verify(graph)
        layers = {op.name: op.quantized.bits for op in layers_of(graph) if op.quantized}
        weights = {name: bits for name, bits in layers.items() if bits < 8}
        maps = {name: bits for name, bits in (map_bits or {}).items() if bits < 8}
        return cls(graph, lower(graph), weights, maps, search or {})


def layers_of(graph: Graph) -> list[Layer]:
    """The operators with weights."""
    return [op for op in graph.ops if isinstance(op, Layer)]


def can_be_narrow(op: Layer) -> bool:
    """Grouped and depthwise convolutions have few weights, each of which counts: they stay at 8 bits."""
    return isinstance(op, ops.Dense) or op.groups == 1
