"""How many predicted cycles feature maps of fewer bits can save at most, whatever they cost in accuracy.

    python -m benchmarks.map_cycles MODEL.onnx [...]

For each network, board and bits of weights: predicted cycles with 8-bit maps, and the share of them that maps of 8, 4
or 2 bits save, lowered one by one as long as that saves cycles, the largest saving first. Kernels are those that fit
the board's flash beside each other, layer by layer; `too large` where the weights alone do not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from quantmcu.bitwidths.network import can_be_narrow, layers_of
from quantmcu.bitwidths.weights import constant_bytes
from quantmcu.codegen.joint_cycles import JointCycles
from quantmcu.codegen.kernel import Core
from quantmcu.data import input_specs, open_dataset
from quantmcu.frontend import load_onnx, read_network
from quantmcu.ir import Graph
from quantmcu.memory.budget import Budget, budget_of
from quantmcu.passes import simplify
from quantmcu.program.lower import lower
from quantmcu.quant import Calibration, calibrate, quantize
from quantmcu.quant.joint import JointBits, Lowering, lowered_step_by_step
from quantmcu.quant.map_costs import feature_maps
from quantmcu.targets import load_board

BOARDS = ("nucleo-f767", "nucleo-l4r5")


def largest_saving(
    graph: Graph, calibration: Calibration, weight_bits: int, core: Core, budget: Budget
) -> tuple[float, float] | None:
    """Predicted cycles of 8-bit maps, layer by layer, and of fewer bits; None: weights and tables exceed the flash."""
    layers = {op.name: weight_bits for op in layers_of(graph) if can_be_narrow(op)}
    program = lower(quantize(graph, calibration, weight_bits=layers if weight_bits < 8 else {}))
    if constant_bytes(program, core, budget.network_bytes) > budget.constant_bytes:
        return None
    maps = feature_maps(graph, calibration, {}, candidates=(8, 4, 2))
    costs = JointCycles({8: program}, core, {name: m.name for m in maps for name in m.names}, budget.network_bytes)
    losses = {(m.name, bits): 1.0 for m in maps for bits in (4, 2)}  # whatever they are
    moves = [Lowering(bits, maps=(name,)) for name, bits in losses]
    way = [*lowered_step_by_step(JointBits({}, {m.name: 8 for m in maps}), moves, {}, losses, costs)]
    return costs.total(way[0]), costs.total(way[-1])


def _cell(eight: float, least: float) -> str:
    return f"{eight / 1e6:.2f} M, {100 * (1 - least / eight):.1f} % less"


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL.onnx")
    arguments = parser.parse_args()
    print("| network | board | weights of 8 bits | of 4 bits | of 2 bits |")
    print("|---|---|---|---|---|")
    for path in arguments.models:
        graph = simplify(load_onnx(read_network(path)))
        calibration = calibrate(graph, open_dataset("random", input_specs(graph), None).take(2))
        for name in BOARDS:
            board, cells = load_board(name), []
            for weight_bits in (8, 4, 2):
                found = largest_saving(graph, calibration, weight_bits, Core.of(board), budget_of(board))
                cells.append("too large" if found is None else _cell(*found))
            print(f"| {path.stem} | {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
