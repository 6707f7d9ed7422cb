"""Removes what no output depends on."""

from __future__ import annotations

from quantmcu.ir.graph import Graph


def remove_dead_code(graph: Graph) -> Graph:
    """Removes operators whose results nothing uses."""
    needed = set(graph.outputs)
    kept = []
    for op in reversed(graph.ops):
        if needed.intersection(op.outputs):
            kept.append(op)
            needed.update(op.inputs)
    return graph if len(kept) == len(graph.ops) else graph.with_ops(reversed(kept))
