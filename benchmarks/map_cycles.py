"""How many predicted cycles feature maps of fewer bits can save at most, whatever they cost in accuracy.

    python -m benchmarks.map_cycles MODEL.onnx [...]

For each network, core and bits of weights: predicted cycles with 8-bit maps, and the share of them that the choice of
8, 4 or 2 bits with the fewest cycles saves (VDQS with lambda 0, which looks at nothing but cycles).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from quantmcu.bitwidths.network import can_be_narrow, layers_of
from quantmcu.codegen.kernel import Core
from quantmcu.codegen.map_cycles import MapCycles
from quantmcu.data import input_specs, open_dataset
from quantmcu.frontend import load_onnx, read_network
from quantmcu.ir import Graph
from quantmcu.passes import simplify
from quantmcu.program.lower import lower
from quantmcu.quant import Calibration, calibrate, quantize
from quantmcu.quant.map_costs import feature_maps
from quantmcu.quant.vdqs import scores_of, search_bits, uniform_bits
from quantmcu.targets import load_board

BOARDS = ("nucleo-f767", "nucleo-l4r5")


def largest_saving(graph: Graph, calibration: Calibration, weight_bits: int, core: Core) -> tuple[float, float]:
    """Predicted cycles of 8-bit maps, layer by layer, and of the bits of maps with the fewest cycles."""
    layers = {op.name: weight_bits for op in layers_of(graph) if can_be_narrow(op)}
    program = lower(quantize(graph, calibration, weight_bits=layers if weight_bits < 8 else {}))
    maps = feature_maps(graph, calibration, {}, candidates=(8, 4, 2))
    costs = MapCycles(program, core, {name: m.name for m in maps for name in m.names})
    found = search_bits(maps, scores_of(maps, 0.0, costs=costs))
    return costs.total(uniform_bits(maps, 8)), found.cost


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
            cells = []
            for weight_bits in (8, 4, 2):
                eight, least = largest_saving(graph, calibration, weight_bits, Core.of(load_board(name)))
                cells.append(f"{eight / 1e6:.2f} M, {1 - least / eight:.1%} less")
            print(f"| {path.stem} | {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
