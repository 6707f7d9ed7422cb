"""The whole device path: compile, flash (the emulator starts on that ELF), then all over a real pseudo-terminal."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

import quantmcu
from quantmcu.cli.main import run
from quantmcu.errors import ToolError
from quantmcu.results import Result
from quantmcu.validation import validate_result
from tests.device.bad_line import plugged_in
from tests.device.conftest import compiled, images


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, object]:
    """The JSON document of a command that succeeds."""
    capsys.readouterr()
    status = run([*(str(argument) for argument in arguments), "--json"])
    captured = capsys.readouterr()
    assert status == 0, captured.err
    document = json.loads(captured.out)
    assert isinstance(document, dict)
    return document


def test_commands_on_a_device(network: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data.npz"
    np.savez(data, x=images(2, 100))
    with plugged_in(network) as board:
        device = ("--on", "device", "--port", board.port)
        measured = command(capsys, "measure", network.folder, *device, "--runs", 7, "--profile")
        validated = command(capsys, "validate", network.folder, *device, "--data", data)
    latency = measured["latency"]
    assert (latency["source"], latency["runs"]) == ("device", 7)
    assert latency["min_cycles"] <= latency["median_cycles"] <= latency["max_cycles"]
    assert 0 < latency["overhead_cycles"] < 100
    assert latency["ms"] == pytest.approx(latency["cycles"] / 216e3)
    layers = latency["by_layer"]
    assert {layer["name"] for layer in layers} >= {"conv", "depthwise", "pointwise", "pool", "dense"}
    assert sum(layer["cycles"] for layer in layers) == pytest.approx(latency["cycles"], rel=0.02)
    assert latency["conditions"]["runner"].startswith("nucleo-f767 (nucleo-f767 on /dev/pts/")
    result = validated["validation"]
    assert (result["on"], result["samples"], result["reference_samples"]) == ("device", 100, 100)
    assert (result["bytes_compared"], result["differing_bytes"]) == (400, 0)


@pytest.mark.slow
def test_a_bad_line(network: Result, impatient: None) -> None:
    """100 images over a line that loses, doubles and flips bytes and swallows frames: each answer is right."""
    with plugged_in(network, seed=1, lost=1e-4, doubled=1e-4, flipped=2e-4, lost_bursts=0.01) as board:
        validate_result(network, data=images(3, 100), on="device", port=board.port)
        assert board.damage.done > 20
    assert network.data["validation"]["reference_samples"] == 100


def test_resets_in_the_middle(network: Result, impatient: None) -> None:
    """The reset button is pressed in the middle of loading, running and reading."""
    with plugged_in(network) as board:
        board.reset_after = 17
        validate_result(network, data=images(4, 40), on="device", port=board.port)
        assert board.resets >= 5


@pytest.mark.slow
def test_resets_and_a_bad_line(network: Result, impatient: None) -> None:
    with plugged_in(network, seed=5, flipped=2e-4, lost_bursts=0.01) as board:
        board.reset_after = 31
        validate_result(network, data=images(5, 30), on="device", port=board.port)
        assert board.resets >= 2
        assert board.damage.done > 3


@pytest.mark.slow
def test_a_board_that_stalls_and_comes_back(network: Result, impatient: None) -> None:
    with plugged_in(network) as board:
        stalled_at = 0.0

        def stall(_: object) -> None:
            nonlocal stalled_at
            stalled_at = time.monotonic()
            board.stall()

        with pytest.raises(ToolError, match="the device has stopped answering") as caught:
            validate_result(network, data=images(6, 5), on="device", port=board.port, on_sample=stall)
        assert time.monotonic() - stalled_at < 15
        assert board.port in str(caught.value)
        board.go_on()
        quantmcu.validate(network, data=images(6, 3), on="device", port=board.port)


def test_profile_over_a_bad_line(network: Result, impatient: None) -> None:
    """What the line does changes no figure."""
    with plugged_in(network) as board:
        clean = quantmcu.measure(network, on="device", port=board.port, runs=3).data["latency"]
    with plugged_in(network, seed=9, flipped=3e-4, doubled=3e-4, lost_bursts=0.05) as board:
        bad = quantmcu.measure(network, on="device", port=board.port, runs=3).data["latency"]
        assert board.damage.done > 0
    assert bad["median_cycles"] == pytest.approx(clean["median_cycles"], rel=0.01)
    names = [layer["name"] for layer in clean["by_layer"]]
    assert [layer["name"] for layer in bad["by_layer"]] == names


def test_a_hopeless_line(network: Result, impatient: None) -> None:
    """Either a right result or an error, soon."""
    started = time.monotonic()
    with plugged_in(network, seed=7, flipped=0.03) as board:
        refusals = []
        try:
            validate_result(network, data=images(7, 2), on="device", port=board.port)
        except ToolError as error:
            refusals.append(error.what)
        assert all("answer" in refusal or "other firmware" in refusal for refusal in refusals)
        assert board.damage.done > 5
    assert time.monotonic() - started < 60


def test_a_board_that_is_unplugged(network: Result, impatient: None) -> None:
    with plugged_in(network) as board:

        def unplug(_: object) -> None:
            if not board.unplugged:
                board.unplug()

        with pytest.raises(ToolError, match=r"the connection to the device broke off|stopped answering"):
            validate_result(network, data=images(8, 5), on="device", port=board.port, on_sample=unplug)


@pytest.mark.slow
def test_another_model_on_the_board(network: Result, tmp_path: Path) -> None:
    other = compiled(tmp_path, seed=1)
    with plugged_in(network) as board, pytest.raises(ToolError, match="the device runs another model than this one"):
        quantmcu.measure(other, on="device", port=board.port)
