"""result.json: its schema, loading and saving; what measure and validate put there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import quantmcu
from quantmcu.errors import QuantMCUError, UsageError
from quantmcu.program.serialize import load_program
from quantmcu.results import Result, schema
from quantmcu.validation import SampleOutcome, dequantized_outputs, quantized_inputs


def undocumented(data: Any, described: dict[str, Any], path: str = "$") -> Iterator[str]:
    """Fields of `data` that the schema does not describe."""
    if isinstance(data, dict):
        properties = described.get("properties")
        if properties is None:
            if "description" not in described and "additionalProperties" not in described:
                yield path
            return
        for key, value in data.items():
            if key in properties:
                yield from undocumented(value, properties[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(data, list) and "items" in described:
        for item in data:
            yield from undocumented(item, described["items"], f"{path}[]")


def test_every_field_is_described(compiled: Result, photos: Path) -> None:
    quantmcu.measure(compiled, runs=2)
    quantmcu.validate(compiled, data=photos)
    assert sorted(set(undocumented(compiled.data, schema()))) == []
    assert Result.load(compiled.folder).data == compiled.data


def test_latency(compiled: Result) -> None:
    result = quantmcu.measure(compiled, runs=3)
    latency = result.latency
    assert latency is not None
    assert latency.source == "emulator"
    assert latency.milliseconds == pytest.approx(latency.cycles / 216e6 * 1e3)
    low, high = latency.band_milliseconds or (0, 0)
    assert low < latency.milliseconds < high
    assert [layer.name for layer in latency.layers] == [step["name"] for step in result.data["steps"]]
    assert sum(layer.macs for layer in latency.layers) == result.data["model"]["macs"]
    assert 0.5 < sum(layer.cycles for layer in latency.layers) / latency.cycles <= 1.05
    facts = latency.conditions
    assert facts["clock_hz"] == 216_000_000
    assert facts["memory_effects_modelled"] is False
    assert re.search("zero-wait-state", facts["note"])
    assert facts["compiler"]
    memory = result.data["memory"]
    assert 0 < memory["stack_used_bytes"] <= memory["stack_need_bytes"] <= memory["stack_bytes"]
    assert 0 < memory["network_stack_bytes"] < memory["stack_need_bytes"]


def test_emulated_measurements_repeat_exactly(compiled: Result) -> None:
    first = quantmcu.measure(compiled, runs=2).data["latency"]
    second = quantmcu.measure(compiled, runs=2).data["latency"]
    assert first == second


def test_the_distance_from_the_theoretical_bound_is_known_by_layer(compiled: Result) -> None:
    latency = quantmcu.measure(compiled, runs=2).data["latency"]
    for layer, step in zip(latency["by_layer"], compiled.data["steps"], strict=True):
        assert layer["theoretical_cycles"] == step["theoretical_cycles"] >= step["macs"] / 2
        assert layer["times_bound"] == pytest.approx(layer["cycles"] / layer["theoretical_cycles"], abs=1e-3)
        assert layer["times_bound"] > 1, "nothing is faster than the bound"


def test_the_memory_model_adds_wait_states(compiled: Result) -> None:
    core = quantmcu.measure(compiled, runs=2).data["latency"]
    latency = quantmcu.measure(compiled, runs=2, memory_model=True).data["latency"]
    assert core["first_cycles"] < latency["first_cycles"] < 2 * core["first_cycles"], "caches are cold"
    assert core["cycles"] <= latency["cycles"] < latency["first_cycles"]
    assert latency["band_ms"] is None, "the band is that of estimates of the core alone"
    facts = latency["conditions"]
    assert facts["memory_effects_modelled"] is True
    assert "not validated" in facts["note"]
    with pytest.raises(UsageError, match="only the emulator has a memory model"):
        quantmcu.measure(compiled, on="device", memory_model=True)


def test_validation_with_labels(compiled: Result, photos: Path) -> None:
    outcomes: list[SampleOutcome] = []
    result = quantmcu.validate(compiled, data=photos, reference_limit=3, on_sample=outcomes.append)
    assert result.data["validation"]["samples"] == 8
    assert result.data["validation"]["reference_samples"] == 3
    assert result.data["validation"]["bytes_compared"] == 12
    assert [outcome.label for outcome in outcomes] == [0, 0, 1, 1, 2, 2, 3, 3]
    accuracy = result.accuracy
    assert accuracy is not None
    assert accuracy["metric"] == "top-1"
    right = sum(int(np.argmax(outcome.outputs[0]) == outcome.label) for outcome in outcomes)
    assert accuracy["quantized"] == right / 8
    assert accuracy["outputs"][0]["cosine"] > 0.99


@pytest.mark.parametrize("on", ["host", "emulator", "reference"])
def test_all_places_give_the_same_accuracy(on: str, compiled: Result, photos: Path) -> None:
    wanted = quantmcu.validate(compiled, data=photos, on="reference").accuracy
    assert quantmcu.validate(compiled, data=photos, on=on).accuracy == wanted


def test_a_wrong_weight_is_found(compiled: Result) -> None:
    """The generated C is changed behind QuantMCU's back: the first differing byte is named."""
    header = compiled.folder / "src" / "model" / "weights.h"
    before, array, after = re.split(r"(scores_node_weights?\[\d+\] = \{.*?\};)", header.read_text(), flags=re.DOTALL)
    name, numbers = array.split("{")
    header.write_text(f"{before}{name}{{{re.sub(r'-?0x[0-9a-f]+u|-?[0-9]+', '17', numbers)}{after}")
    with pytest.raises(QuantMCUError) as caught:
        quantmcu.validate(compiled, data="random", limit=5)
    error = caught.value
    assert re.match(r"\d+ of 4 values differ from the reference", error.what)
    assert re.match(r"sample \d+, output scores, on host", error.where)
    assert re.match(r"the first is at \[0, \d\]: \d+ in place of \d+", error.why)
    assert "validation" not in Result.load(compiled.folder).data


def test_pixels_are_the_input_codes(compiled: Result) -> None:
    """Compiled with `unit` preprocessing: real values are whole steps of the input scale, so pixels are codes."""
    assert compiled.data["model"]["input_format"] == "raw pixels 0 .. 255"
    program = load_program(compiled.folder / "program.npz")
    real = np.linspace(0, 1, 3 * 16 * 16, dtype=np.float32).reshape(1, 3, 16, 16)
    codes = quantized_inputs(program, {"image": real})["image"]
    assert codes.shape == (1, 16, 16, 3)
    assert codes[0, 0, 0, 0] == 0
    assert codes[0, -1, -1, -1] == 255
    qparams = program.values["image"].qparams
    assert qparams is not None
    assert np.abs(qparams.dequantize(codes).transpose(0, 3, 1, 2) - real).max() <= qparams.scale * 0.51


def test_outputs_come_in_the_models_layout(compiled: Result) -> None:
    program = load_program(compiled.folder / "program.npz")
    (outputs,) = dequantized_outputs(program, [np.full((1, 4), 7, np.uint8)])
    assert outputs.shape == (1, 4)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no result.json here"),
        ("{", "damaged"),
        ('{"schema": 2}', "has schema 2, not 1"),
        ("[]", "has schema None"),
        ('{"schema": 1}', "is a required property"),
    ],
)
def test_results_that_cannot_be_used(content: str | None, words: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "result.json").write_text(content)
    with pytest.raises(UsageError, match=words):
        Result.load(tmp_path)


def test_saving_refuses_what_breaks_the_schema(compiled: Result) -> None:
    before = (compiled.folder / "result.json").read_bytes()
    compiled.data["model"]["macs"] = "many"
    with pytest.raises(ValueError, match="macs"):
        compiled.save()
    assert (compiled.folder / "result.json").read_bytes() == before


def test_result_json_is_readable_by_others(compiled: Result) -> None:
    compiled.save()
    assert (compiled.folder / "result.json").stat().st_mode & 0o777 == 0o644
    assert json.loads((compiled.folder / "result.json").read_text())["schema"] == 1


def test_another_networks_program_is_refused(compiled: Result) -> None:
    compiled.data["model"]["program_sha256"] = "0" * 64
    with pytest.raises(UsageError, match="src/model/ is of another network"):
        quantmcu.validate(compiled, data="random")
    with pytest.raises(QuantMCUError, match="runs another model"):
        quantmcu.measure(compiled)
