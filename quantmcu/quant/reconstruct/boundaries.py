"""Where the simulated network is compared with the float one: between the blocks of the network, and at its outputs."""

from __future__ import annotations

from quantmcu.ir import Graph
from quantmcu.quant.reconstruct.derivatives import has_derivative


def block_boundaries(graph: Graph) -> tuple[str, ...]:
    """The activations that everything later depends on alone, in execution order: cuts of the graph; no outputs.

    Between two of them lies a block (a residual block, or a single layer). Results of operators without a derivative
    are left out: nothing could be learned from them.
    """
    last_reader = {name: index for index, op in enumerate(graph.ops) for name in op.inputs}
    last_reader |= dict.fromkeys(graph.outputs, len(graph.ops))
    alive: set[str] = {name for name in graph.inputs if name in last_reader}
    cuts: list[str] = []
    for index, op in enumerate(graph.ops):
        alive |= {name for name in op.outputs if name in last_reader}
        alive = {name for name in alive if last_reader[name] > index}
        if alive == {op.output} and op.output not in graph.outputs and has_derivative(op):
            cuts.append(op.output)
    return tuple(cuts)
