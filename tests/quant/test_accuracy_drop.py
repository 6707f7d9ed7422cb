"""--max-accuracy-drop: the fewest BitOPs whose measured loss stays below a limit."""

from __future__ import annotations

import pytest
from small_networks import grouped_network, residual_network

from quantmcu.accuracy_drop import OPTION, DropLimit, check_drop
from quantmcu.bitwidths import BitChooser, BitsRequest
from quantmcu.data import Dataset
from quantmcu.errors import QuantMCUError, UsageError
from quantmcu.held_out import held_out_split
from quantmcu.ir import Graph
from quantmcu.memory.budget import budget_of
from quantmcu.patch.request import PatchRequest
from quantmcu.program.bitops import program_bitops
from quantmcu.progress import SilentProgress, StageClock
from quantmcu.quant import calibrate
from quantmcu.targets import load_board

BOARD = load_board("nucleo-f446")


def chooser_of(dataset: Dataset, graph: Graph | None = None) -> BitChooser:
    graph = graph or residual_network()
    clock = StageClock(SilentProgress())
    return BitChooser(graph, calibrate(graph, dataset), dataset, BOARD, budget_of(BOARD), PatchRequest("off"), clock)


def test_a_wider_limit_allows_fewer_bitops(varied_images: Dataset) -> None:
    calibration, held_out = held_out_split(varied_images, OPTION)
    chooser = chooser_of(calibration)
    costs = []
    for points in (0.0, 100.0):
        limit = DropLimit(points, residual_network(), held_out)
        network = limit.choose(chooser, BitsRequest(maps="mixed"))
        assert limit.drop(network) <= points
        costs.append(program_bitops(network.program))
    assert costs[1] < costs[0] <= program_bitops(chooser.choose(BitsRequest()).program)
    fewer = network.search["bitops_of_8_bit_recompute"] / program_bitops(network.program)
    assert chooser.clock.notes[-1].startswith(f"{fewer:.2f} times fewer BitOPs lose")
    assert len(set(chooser.clock.notes)) == len(chooser.clock.notes)
    assert "20 held-out samples (agreement with float), 100 are allowed" in chooser.clock.notes[-1]


def test_too_tight_a_limit_is_an_error(varied_images: Dataset) -> None:
    calibration, held_out = held_out_split(varied_images, OPTION)
    chooser = chooser_of(calibration)
    graph = residual_network()
    other = graph.with_ops(  # a float model with other scores: nothing quantized agrees with it
        type(op)(**{**vars(op), "weight": -op.weight}) if op.name == "scores" else op
        for op in graph.ops
    )
    for cost, saved in (("bitops", "BitOPs"), ("cycles", "predicted cycles")):
        with pytest.raises(QuantMCUError, match=f"points are lost without saving any {saved}, 5 are allowed"):
            DropLimit(5, other, held_out).choose(chooser, BitsRequest(maps="mixed", cost=cost))


def test_for_latency_the_fastest_that_keeps_the_limit(varied_images: Dataset) -> None:
    calibration, held_out = held_out_split(varied_images, OPTION)
    graph = grouped_network()
    chooser = chooser_of(calibration, graph)

    def cycles(points: float, cost: str) -> float:
        limit = DropLimit(points, graph, held_out)
        network = limit.choose(chooser, BitsRequest(maps="mixed", cost=cost))
        assert limit.drop(network) <= points
        return chooser.plan(network).candidate.cycles

    eight = chooser.plan(chooser.choose(BitsRequest())).candidate.cycles
    assert cycles(10.0, "cycles") <= min(eight, cycles(10.0, "bitops"))
    fastest = cycles(100.0, "cycles")
    assert fastest < eight
    assert fastest <= cycles(100.0, "bitops")
    assert f"{fastest:,.0f} predicted cycles ({eight:,.0f} with 8-bit maps) lose " in "\n".join(chooser.clock.notes)


def test_samples_are_in_one_set_only(varied_images: Dataset) -> None:
    calibration, held_out = held_out_split(varied_images, OPTION)
    assert (len(calibration), len(held_out)) == (40, 20)
    seen = {sample.inputs["x"].tobytes() for part in (calibration, held_out) for sample in part}
    assert len(seen) == 60
    with pytest.raises(UsageError, match="needs at least 3 calibration samples"):
        held_out_split(varied_images.take(2), OPTION)


def test_wrong_requests() -> None:
    check_drop(None, BitsRequest(), "auto")
    with pytest.raises(UsageError, match="needs --bits mixed"):
        check_drop(1, BitsRequest(), "auto")
    with pytest.raises(UsageError, match="does not go with --bitops-reduction"):
        check_drop(1, BitsRequest("mixed", reduction=2.0), "auto")
    with pytest.raises(UsageError, match="does not go with --vdpc dynamic"):
        check_drop(1, BitsRequest("mixed"), "dynamic")
    with pytest.raises(UsageError, match="200 points are out of range"):
        check_drop(200, BitsRequest("mixed"), "auto")


def test_only_classifiers(varied_images: Dataset) -> None:
    graph = residual_network()
    maps = graph.with_ops(graph.ops[:4], outputs=("d",), output_layouts=(None,))
    with pytest.raises(UsageError, match="the model is no classifier"):
        DropLimit(1, maps, varied_images)
