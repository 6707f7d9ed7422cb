"""How many cycles maps of fewer bits can save on a board: within its flash."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.map_cycles import largest_saving
from quantmcu.codegen.kernel import Core
from quantmcu.data import input_specs, open_dataset
from quantmcu.frontend import load_onnx, read_network
from quantmcu.memory.budget import budget_of
from quantmcu.passes import simplify
from quantmcu.quant import calibrate
from quantmcu.targets import load_board

DEMO = Path(__file__).parents[2] / "demo" / "cifar10_mobilenetv2.onnx"


@pytest.mark.slow
def test_saves_cycles_with_narrow_weights_only_and_knows_the_flash() -> None:
    graph = simplify(load_onnx(read_network(DEMO)))
    calibration = calibrate(graph, open_dataset("random", input_specs(graph), None).take(2))
    board = load_board("nucleo-f767")
    core, large, small = Core.of(board), budget_of(board), budget_of(board, flash=128 * 1024)
    wide, narrow = (largest_saving(graph, calibration, bits, core, large) for bits in (8, 4))
    assert wide is not None
    assert narrow is not None
    assert wide[0] == pytest.approx(wide[1], rel=0.01)  # no kernel on 8-bit weights gains by narrow maps
    assert narrow[1] < 0.9 * narrow[0]
    assert largest_saving(graph, calibration, 8, core, small) is None, "147 KiB of weights"
    tight = largest_saving(graph, calibration, 4, core, small)
    assert tight is not None
    assert tight[1] > narrow[1], "words of packed weights have no room"
