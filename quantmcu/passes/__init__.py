"""Simplification of the graph: pure functions Graph -> Graph, applied in one order."""

from __future__ import annotations

from quantmcu.ir.graph import Graph
from quantmcu.ir.verify import verify
from quantmcu.passes.activation import fuse_activation
from quantmcu.passes.affine import affine_to_depthwise, fold_affine
from quantmcu.passes.concat_pad import concat_to_pad
from quantmcu.passes.constants import fold_constants
from quantmcu.passes.dead_channels import remove_dead_channels
from quantmcu.passes.dead_code import remove_dead_code
from quantmcu.passes.gates import fuse_gates
from quantmcu.passes.identities import remove_identities
from quantmcu.passes.layout import absorb_transposes
from quantmcu.passes.padding import fold_pad
from quantmcu.passes.rewrite import Pass
from quantmcu.passes.sink import sink_moves
from quantmcu.passes.tiny_weights import flush_tiny_weights

__all__ = ["SIMPLIFY", "Pass", "simplify"]

SIMPLIFY: tuple[Pass, ...] = (
    remove_dead_code,
    fold_constants,
    remove_identities,
    fuse_gates,
    concat_to_pad,
    sink_moves,
    remove_identities,
    absorb_transposes,
    fold_affine,
    affine_to_depthwise,
    fold_pad,
    fuse_activation,
    flush_tiny_weights,
    remove_dead_channels,
    remove_identities,
    remove_dead_code,
)


def simplify(graph: Graph) -> Graph:
    """The graph after all passes; its outputs are the same in real arithmetic.

    Raises:
        ValueError: a pass left an inconsistent graph (a mistake of ours).
    """
    verify(graph)
    for run in SIMPLIFY:
        graph = run(graph)
        try:
            verify(graph)
        except ValueError as error:
            raise ValueError(f"after the pass {run.__name__}: {error}") from error
    return graph
