"""Bits of weights under a flash budget and of feature maps by VDQS, chosen as `compile` does."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from small_networks import LAYERS

from quantmcu.bitwidths import BitChooser, BitsRequest, fitting
from quantmcu.bitwidths.weights import constant_bytes
from quantmcu.build.host import HostModel
from quantmcu.codegen.emit import emit_model
from quantmcu.codegen.kernel import Core
from quantmcu.codegen.map_cycles import MapCycles
from quantmcu.codegen.select import flat
from quantmcu.data import Dataset
from quantmcu.errors import QuantMCUError, UsageError
from quantmcu.export import export_onnx
from quantmcu.ir import Graph, ops
from quantmcu.memory.budget import FIRMWARE_DATA_BYTES, budget_of
from quantmcu.patch.request import PatchRequest
from quantmcu.planning import choose_plan
from quantmcu.progress import SilentProgress, StageClock
from quantmcu.quant import weight_bytes
from quantmcu.reference import execute
from quantmcu.request import CompileRequest
from quantmcu.targets import load_board

BOARD = load_board("nucleo-f446")


def layers_of(graph: Graph) -> list[ops.Conv2D | ops.Dense]:
    return [op for op in graph.ops if isinstance(op, ops.Conv2D | ops.Dense)]


def with_budget(chooser: BitChooser, **changes: int) -> BitChooser:
    return replace(chooser, budget=replace(chooser.budget, **changes), clock=StageClock(SilentProgress()))


def test_weights_keep_8_bits_where_they_fit(chooser: BitChooser) -> None:
    network_ = chooser.choose(BitsRequest())
    assert not network_.weight_bits
    assert not network_.map_bits
    assert not network_.search


@pytest.mark.parametrize("missing", [60, 300])
def test_auto_lowers_layers_until_the_flash_suffices(chooser: BitChooser, missing: int) -> None:
    room = constant_bytes(chooser.choose(BitsRequest()).program, Core.of(BOARD)) - missing
    tight = with_budget(chooser, constant_bytes=room, flash_bytes=0)
    chosen = tight.choose(BitsRequest())
    assert chosen.weight_bits
    assert set(chosen.weight_bits.values()) == {4}
    assert "grouped" not in chosen.weight_bits  # few weights, each of which counts
    stored = {op.name: weight_bytes(op, chosen.weight_bits.get(op.name, 8)) for op in layers_of(chosen.graph)}
    eight = sum(weight_bytes(op, 8) for op in layers_of(chosen.graph))
    assert eight - sum(stored.values()) >= missing
    assert f"of 3 layers' weights {len(chosen.weight_bits)} have 4 bits" in tight.clock.notes[0]


def test_auto_takes_2_bits_where_4_are_not_enough(chooser: BitChooser) -> None:
    network = chooser.choose(BitsRequest())
    narrow = [op for op in layers_of(network.graph) if op.name != "grouped"]

    def saved(bits: Callable[[str], int]) -> int:
        return sum(weight_bytes(op, 8) - weight_bytes(op, bits(op.name)) for op in narrow)

    room = constant_bytes(network.program, Core.of(BOARD)) - saved(lambda _: 4) - 10
    tight = with_budget(chooser, constant_bytes=room, flash_bytes=0)
    chosen = tight.choose(BitsRequest())
    assert 2 in chosen.weight_bits.values()
    assert saved(lambda name: chosen.weight_bits.get(name, 8)) >= saved(lambda _: 4) + 10
    assert "have 2 bits" in tight.clock.notes[0]


def test_too_little_flash_says_what_the_fewest_bits_need(chooser: BitChooser) -> None:
    with pytest.raises(QuantMCUError, match="even with the fewest bits"):
        with_budget(chooser, constant_bytes=900, flash_bytes=0).choose(BitsRequest())


def test_mixed_maps_agree_with_the_exported_model(chooser: BitChooser, images: Dataset) -> None:
    chosen = chooser.choose(BitsRequest(maps="mixed", weights="4", lam=0.3, information="sqnr"))
    assert set(chosen.weight_bits) == set(LAYERS) - {"grouped"}
    assert chosen.map_bits
    assert [entry["map"] for entry in chosen.search["maps"]] == ["a", "b", "c", "d"]
    assert chosen.search["bitops_of_8_bit_maps"] > 0
    session = onnxruntime.InferenceSession(export_onnx(chosen.graph, qdq=True).SerializeToString())
    source, output = chosen.program.values["x"].qparams, chosen.program.values["y"].qparams
    assert source is not None
    assert output is not None
    errors = []
    for sample in images.take(10):
        (expected,) = session.run(None, dict(sample.inputs))
        codes = execute(chosen.program, {"x": source.quantize(sample.inputs["x"].transpose(0, 2, 3, 1))})["y"]
        errors.append(np.abs(output.dequantize(codes) - expected).max() / output.scale)
    assert np.mean(errors) < 4


def with_ram(chooser: BitChooser, nbytes: int) -> BitChooser:
    """Layer by layer, with so many bytes for feature maps."""
    regions = (replace(chooser.budget.regions[0], capacity=nbytes),)
    budget = replace(chooser.budget, regions=regions)
    return replace(chooser, budget=budget, patches=PatchRequest("off"), clock=StageClock(SilentProgress()))


def test_memory_limit_makes_maps_narrow(chooser: BitChooser) -> None:
    off = replace(chooser, patches=PatchRequest("off"))
    roomy = off.choose(BitsRequest(maps="mixed", lam=1.0))
    assert not roomy.map_bits
    limit = roomy.search["peak_bytes"] * 3 // 4  # beyond what kernels with less working memory save
    tight = with_ram(chooser, limit).choose(BitsRequest(maps="mixed", lam=1.0))
    assert tight.map_bits
    assert tight.search["peak_bytes"] <= limit


def test_wrong_requests() -> None:
    with pytest.raises(UsageError, match="unknown value '8;4'"):
        BitsRequest("8;4")
    with pytest.raises(UsageError, match="'4,2' leaves out 8"):
        BitsRequest("4,2")
    assert BitsRequest("2,4,8").candidates == (8, 4, 2)
    with pytest.raises(UsageError, match="unknown value '6'"):
        BitsRequest(weights="6")
    with pytest.raises(UsageError, match=r"1\.5 is out of range"):
        BitsRequest(lam=1.5)


@pytest.mark.parametrize("patches", ["off", "2x2"])
@pytest.mark.parametrize(("bits", "weights"), [("mixed", "4"), ("8,4,2", "8"), ("8,2", "2")])
def test_generated_c_of_mixed_bits_equals_the_reference(
    chooser: BitChooser, images: Dataset, patches: str, bits: str, weights: str
) -> None:
    chosen = chooser.choose(BitsRequest(bits, weights, lam=0.0, information="sqnr"))
    fewest = BitsRequest(bits).candidates[-1]
    assert fewest in chosen.map_bits.values()
    request = PatchRequest(patches) if patches == "off" else PatchRequest(patches, "expand")
    planned = choose_plan(chosen.program, BOARD, chooser.budget, request)
    candidate = planned.candidate
    kernels = {s.kernel.name for s in flat(candidate.selections) if s.kernel is not None}
    assert any(name.startswith("packed_") for name in kernels)
    emitted = emit_model(candidate.program, candidate.selections, candidate.timeline, planned.memory)
    source = chosen.program.values["x"].qparams
    assert source is not None
    with HostModel(emitted.files) as model:
        for sample in images.take(6):
            codes = source.quantize(sample.inputs["x"].transpose(0, 2, 3, 1))
            (output,) = model.infer([codes])
            np.testing.assert_array_equal(output, execute(chosen.program, {"x": codes})["y"])


@pytest.mark.parametrize("weights", ["8", "4"])
def test_saving_cycles_is_never_predicted_slower(chooser: BitChooser, weights: str) -> None:
    off = replace(chooser, patches=PatchRequest("off"))
    eight = off.choose(BitsRequest(weights=weights))
    chosen = off.choose(BitsRequest("8,4,2", weights, lam=0.0, cost="cycles"))
    cycles = [off.plan(network).candidate.cycles for network in (eight, chosen)]
    assert cycles[1] < cycles[0] if weights == "4" else not chosen.map_bits
    assert off.choose(BitsRequest("8,4,2", weights, lam=0.0)).map_bits  # BitOPs fall with every map


def test_keeps_8_bits_where_the_whole_plan_gets_slower(chooser: BitChooser, monkeypatch: pytest.MonkeyPatch) -> None:
    """What single steps cost is a model, which flash and RAM may overrule; here one that is wrong."""
    monkeypatch.setattr(MapCycles, "around", lambda _self, name, bits: float(bits[name]))
    off = replace(chooser, patches=PatchRequest("off"), clock=StageClock(SilentProgress()))
    chosen = off.choose(BitsRequest("mixed", "8", lam=0.0, cost="cycles"))
    assert not chosen.map_bits
    (note,) = off.clock.notes
    assert note.startswith("maps keep 8 bits: with fewer in 4 of them the plan is predicted to take")
    assert chosen.search["decision"] == note


def test_maps_keep_8_bits_by_default_where_they_fit(chooser: BitChooser) -> None:
    chosen = chooser.choose(BitsRequest("auto"))
    eight = chooser.choose(BitsRequest())
    assert chooser.plan(chosen) is chooser.plan(eight)  # the same program: not planned again
    assert not chosen.map_bits
    assert chosen.search == {"decision": "maps keep 8 bits: they fit the RAM"}


def test_maps_get_narrow_by_default_where_8_bits_do_not_fit(chooser: BitChooser) -> None:
    eight = with_ram(chooser, 2**20)
    needed = eight.plan(eight.choose(BitsRequest())).candidate.arena_bytes
    tight = with_ram(chooser, needed * 3 // 4 // 8 * 8)
    chosen = tight.choose(BitsRequest("auto"))
    assert set(chosen.map_bits.values()) == {4}
    assert tight.plan(chosen).overflow is None
    (note,) = tight.clock.notes
    assert "with 8-bit maps the smallest plan needs" in note
    assert "maps have 4 bits, and the plan needs" in note
    hopeless = with_ram(chooser, 64)
    kept = hopeless.choose(BitsRequest("auto"))
    assert not kept.map_bits
    assert kept.search["decision"].endswith("64 are there; with maps of 4 bits no plan fits either")


@pytest.mark.parametrize(("bits", "fewest"), [("auto", 4), ("8,4,2", 2)])
def test_too_little_ram_names_what_the_bits_asked_for_can_reach(chooser: BitChooser, bits: str, fewest: int) -> None:
    """The smallest RAM named is one in which the same request finds maps that fit."""

    def choose_in(ram: int, maps: str) -> BitChooser:
        tight = replace(chooser, budget=budget_of(BOARD, ram=ram), clock=StageClock(SilentProgress()))
        tight.choose(BitsRequest(maps), must_fit=True)
        return tight

    def smallest_named(maps: str) -> tuple[int, str]:
        with pytest.raises(QuantMCUError) as caught:
            choose_in(BOARD.stack_bytes + FIRMWARE_DATA_BYTES + 64, maps)
        text = str(caught.value)
        return int(text.split("the smallest RAM that works is ")[1].split(" ")[0].replace(",", "")), text

    eight, text = smallest_named("8")
    assert "maps of fewer bits where they are needed (--bits auto)" in text
    narrow, text = smallest_named(bits)
    assert narrow < eight
    assert re.search(rf"that is with maps of {fewest} bits, with 8 bits it needs [\d,]+;", text)
    for ram, maps in ((narrow, bits), (eight, "8")):
        tight = choose_in(ram, maps)
        assert tight.plan(tight.choose(BitsRequest(maps))).overflow is None
    with pytest.raises(QuantMCUError, match="no plan fits"):
        choose_in(narrow - 8, bits)


def test_maps_are_raised_again_as_far_as_they_fit(chooser: BitChooser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the patches of 8-bit maps don't do: from the fewest bits, by the exact plan."""
    eight = with_ram(chooser, 2**20)
    needed = eight.plan(eight.choose(BitsRequest())).candidate.arena_bytes
    tight = with_ram(chooser, needed * 3 // 4 // 8 * 8)
    monkeypatch.setattr(fitting, "_within", lambda search: None)
    chosen = tight.choose(BitsRequest("8,4,2", lam=1.0))
    assert tight.plan(chosen).overflow is None
    bits = {entry["map"]: entry["bits"] for entry in chosen.search["maps"]}
    assert {2, 4} & set(bits.values())
    assert 8 in bits.values()
    search = fitting.MapSearch(tight, tight.choose(BitsRequest()), BitsRequest("8,4,2"), tight.plan(chosen).candidate)
    for name in [name for name, count in bits.items() if count < 8]:  # none could have 8
        raised = search.with_bits(bits | {name: 8})
        assert tight.plan(raised).overflow is not None


def test_cycles_of_bits_are_those_of_the_plan(chooser: BitChooser) -> None:
    """What VDQS saves is what the plan of the found network then takes, neighbours' bits included."""
    off = replace(chooser, patches=PatchRequest("off"))
    eight = off.choose(BitsRequest(weights="4"))
    narrow = off.choose(BitsRequest("8,4,2", "4", lam=0.0, cost="cycles"))
    assert narrow.map_bits
    names = [name for name in eight.program.values if name in off.graph.tensors]
    cycles = MapCycles(eight.program, Core.of(BOARD), {name: name for name in names})
    for network in (eight, narrow):
        bits = {name: network.program.values[name].bits for name in names}
        assert cycles.total(bits) == pytest.approx(off.plan(network).candidate.cycles, rel=0.02)


def test_what_asks_for_several_bits_needs_no_other_option() -> None:
    def asked(**options: Any) -> str:
        return CompileRequest(Path("model.onnx"), "nucleo-f767", **options).bitwidths.maps

    assert asked() == "auto"
    assert asked(vdpc="dynamic") == asked(bitops_reduction=2.0) == asked(max_accuracy_drop=1.0) == "mixed"
    assert asked(bits="8,4,2", bitops_reduction=8.0) == "8,4,2"
    with pytest.raises(UsageError, match="--bitops-reduction: needs --bits mixed"):
        asked(bits="8", bitops_reduction=2.0)
