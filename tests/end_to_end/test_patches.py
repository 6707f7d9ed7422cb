"""Networks that run in patches: host, emulator and QEMU agree with the reference byte for byte."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from quantmcu.board_check import check_network
from quantmcu.cli.main import group
from quantmcu.pipeline import compile_model
from quantmcu.program.serialize import load_program
from quantmcu.reference import execute
from quantmcu.request import CompileRequest
from quantmcu.resources import data_folder
from quantmcu.results import Result
from quantmcu.runners import open_runner, open_session

MODELS = Path(__file__).parents[3] / "shared" / "models"
MOBILENET = MODELS / "mobilenetv2_1.0_imagenet_144.onnx"
VISUAL_WAKE_WORDS = MODELS / "mlperf_vww_mobilenetv1.onnx"


def demo_model() -> Path:
    (path,) = data_folder("demo").glob("*.onnx")
    return path


def compiled(model: Path, board: str, out: Path, **options: Any) -> Result:
    return compile_model(CompileRequest(model, board, "random", out, calibration_limit=2, **options))


def assert_bit_exact(result: Result, places: tuple[str, ...]) -> None:
    program = load_program(result.folder / "program.npz")
    random = np.random.default_rng(3)
    inputs = {name: random.integers(0, 256, program.values[name].shape).astype(np.uint8) for name in program.inputs}
    expected = execute(program, inputs)
    for place in places:
        with closing(open_runner(result, place)) as runner:
            for name, got in zip(program.outputs, runner.infer(list(inputs.values())), strict=True):
                np.testing.assert_array_equal(expected[name], got, err_msg=place)


@pytest.mark.slow
@pytest.mark.gcc
@pytest.mark.parametrize(
    "options",
    [
        {"patch": "3x2", "halo": "cache", "input_on_demand": True},
        {"objective": "ram"},
        {"objective": "ram", "input_on_demand": True},
    ],
    ids=["forced", "least-ram", "least-ram-on-demand"],
)
def test_the_demo_network_in_patches(tmp_path, options):
    result = compiled(demo_model(), "nucleo-f767", tmp_path / "out", **options)
    plan, memory = result.data["plan"], result.data["memory"]
    assert plan["stages"]
    assert plan["input_on_demand"] == options.get("input_on_demand", False)
    assert plan["stage_macs"] >= plan["stage_macs_unsplit"] > 0
    assert memory["arena_without_input_bytes"] <= memory["arena_bytes"]
    assert result.data["bitops"]["uniform8_patched"] >= result.data["bitops"]["uniform8_unpatched"]
    assert_bit_exact(result, ("host", "emulator"))
    with open_session(result, "emulator") as session:  # a profile has one line a step, whatever the grid
        profile = session.profile(1)
        assert set(profile.names) == {step["name"] for step in result.data["steps"]}
        assert sum(step.cycles[0] for step in profile.steps) == profile.whole.cycles[0]


@pytest.mark.slow
@pytest.mark.gcc
@pytest.mark.qemu
def test_in_qemu(tmp_path):
    result = compiled(demo_model(), "qemu-m7", tmp_path / "out", patch="3x2", halo="cache", input_on_demand=True)
    assert_bit_exact(result, ("qemu",))


@pytest.mark.gcc
@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.skipif(not VISUAL_WAKE_WORDS.is_file(), reason=f"{VISUAL_WAKE_WORDS} is not here")
def test_visual_wake_words_in_36_kib_with_its_input(tmp_path):
    """44 KiB are 36 for feature maps, 4 of stack and 4 of variables."""
    result = compiled(VISUAL_WAKE_WORDS, "nucleo-l4r5", tmp_path / "out", ram=44 * 1024)
    assert result.data["memory"]["arena_bytes"] <= 36 * 1024
    assert result.data["plan"]["mac_factor"] == 1
    assert_bit_exact(result, ("host", "emulator"))


@pytest.mark.gcc
@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.skipif(not MOBILENET.is_file(), reason=f"{MOBILENET} is not here")
def test_mobilenet_in_a_quarter_of_its_ram(tmp_path):
    """Its layers need 650 KB; here it has 160 KiB, and takes hardly longer."""
    result = compiled(MOBILENET, "nucleo-f767", tmp_path / "out", ram=160 * 1024, input_on_demand=True, build=False)
    assert result.data["plan"]["mac_factor"] < 1.05
    assert result.data["memory"]["arena_bytes"] <= 160 * 1024
    assert_bit_exact(result, ("host",))


def test_plan_prints_the_frontier(tmp_path):
    model, picture = tmp_path / "check.onnx", tmp_path / "frontier.svg"
    onnx.save(check_network(), str(model))
    arguments = ["plan", str(model), "--board", "nucleo-f767", "--picture", str(picture)]
    run = CliRunner().invoke(group, [*arguments, "--json"])
    assert run.exit_code == 0, run.output
    document = json.loads(run.stdout)
    assert document["chosen"] == 0
    first, last = document["frontier"][0], document["frontier"][-1]
    assert {"split_at", "grid", "halo_mode", "arena_bytes", "mac_factor", "cycles"} <= first.keys()
    assert last["arena_bytes"] < first["arena_bytes"]
    assert picture.read_text().startswith("<svg")
    run = CliRunner().invoke(group, arguments)
    assert "none: layer by layer" in run.stdout
    assert "`compile` takes the line marked *" in run.stdout
