"""Weight decay leaves weights such as 1e-30, which no sum in float32 shows and no integer code represents."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from quantmcu.ir import ops
from quantmcu.ir.graph import Graph
from quantmcu.passes.rewrite import Rewrite, apply_rule

NEGLIGIBLE = 2.0**-60
"""Of the layer's largest weight. A float32 sum resolves 2**-24 of itself; activations may spread over 2**36."""


def flush_tiny_weights(graph: Graph) -> Graph:
    """Makes weights below 2**-60 of the largest in their layer 0; channels without others are then constant."""
    return apply_rule(graph, _rule)


def _rule(_: Graph, op: ops.Op) -> Rewrite | None:
    if not isinstance(op, (ops.Conv2D, ops.Dense)):
        return None
    magnitudes = np.abs(op.weight)
    tiny = (magnitudes > 0) & (magnitudes < NEGLIGIBLE * float(magnitudes.max()))
    if not tiny.any():
        return None
    return Rewrite((op,), (replace(op, weight=np.where(tiny, np.float32(0), op.weight)),))
