"""Trained networks from file to firmware: reference, host, emulator and QEMU agree byte for byte."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantmcu.device import DeviceSession
from quantmcu.emulator import Emulator
from quantmcu.emulator.transport import EmulatorTransport
from quantmcu.errors import QuantMCUError
from quantmcu.pipeline import compile_model
from quantmcu.program.serialize import load_program
from quantmcu.reference import execute
from quantmcu.request import CALIBRATION_LIMIT, CompileRequest
from quantmcu.resources import data_folder
from quantmcu.results import Result
from quantmcu.runners import open_runner
from quantmcu.timed_inputs import random_codes
from tests.thorough import examples

SHARED = Path(__file__).parents[3] / "shared" / "models"
SMALL = (
    "mlperf_ic_resnet8",
    "mlperf_vww_mobilenetv1",
    "mlperf_kws_dscnn",
    "mlperf_ad_autoencoder",
    "fmnist_resnet8_28",
    "blazeface_front_128",
)
MOBILENET = "mobilenetv2_1.0_imagenet_144"

# Bytes of the layer-by-layer bound with in-place operators (design/performance.md), where published.
LAYERWISE_BOUND = {"mlperf_ic_resnet8": 49_152, "mlperf_vww_mobilenetv1": 55_296, "mlperf_kws_dscnn": 16_000}


def shared_model(name: str) -> Path:
    path = SHARED / f"{name}.onnx"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return path


def demo_model() -> Path:
    (path,) = data_folder("demo").glob("*.onnx")
    return path


def compiled(model: Path, board: str, folder: Path, calibration_limit: int = 8, **options: Any) -> Result:
    """From few samples: the ranges do not matter here."""
    out = folder / f"{model.stem}-{board}"
    return compile_model(CompileRequest(model, board, "random", out, calibration_limit=calibration_limit, **options))


def assert_bit_exact(result: Result, places: tuple[str, ...], count: int) -> None:
    program = load_program(result.folder / "program.npz")
    random = np.random.default_rng(7)
    samples = [
        {name: random.integers(0, 256, program.values[name].shape).astype(np.uint8) for name in program.inputs}
        for _ in range(count)
    ]
    samples[0] = {name: np.full_like(codes, 255) for name, codes in samples[0].items()}
    expected = [execute(program, sample) for sample in samples]
    for place in places:
        with closing(open_runner(result, place)) as runner:
            for sample, wanted in zip(samples, expected, strict=True):
                outputs = runner.infer([sample[name] for name in program.inputs])
                for name, got in zip(program.outputs, outputs, strict=True):
                    np.testing.assert_array_equal(got, wanted[name], err_msg=f"{place}: {name}")


def assert_stack_and_alignment(result: Result) -> None:
    """No access of the network is unaligned, and the firmware needs no more stack than its machine code says."""
    emulator = Emulator(result.elf, result.board, aligned_in="quantmcu_run_part")
    with closing(DeviceSession(EmulatorTransport(emulator), "emulator", result.program_sha256)) as session:
        inputs = [random_codes(tensor) for tensor in session.identify().inputs]
        session.run(1, inputs)
        session.profile(1, inputs)
        memory = result.data["memory"]
        assert 0 < session.marks().stack_used <= memory["stack_need_bytes"] <= memory["stack_bytes"]


def test_demo_model_on_host_and_in_the_emulator(tmp_path):
    result = compiled(demo_model(), "nucleo-l4r5", tmp_path)
    assert_bit_exact(result, ("host",), 3)
    assert_bit_exact(result, ("emulator",), examples(1))


@pytest.mark.slow
def test_demo_model_built_with_zig(tmp_path):
    result = compiled(demo_model(), "nucleo-f767", tmp_path, toolchain="zig")
    assert_bit_exact(result, ("host", "emulator"), examples(3))
    assert_stack_and_alignment(result)


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.parametrize("board", ["qemu-m4", "qemu-m7"])
def test_demo_model_in_qemu(board, tmp_path):
    result = compiled(demo_model(), board, tmp_path)
    assert_bit_exact(result, ("qemu",), 3)
    assert_bit_exact(result, ("emulator",), examples(1))


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("board", ["nucleo-f767", "nucleo-l4r5"])
@pytest.mark.parametrize("name", SMALL)
def test_shared_models_on_host_and_in_the_emulator(name, board, tmp_path):
    result = compiled(shared_model(name), board, tmp_path)
    assert_bit_exact(result, ("host",), examples(30))
    assert_bit_exact(result, ("emulator",), examples(10))
    assert_stack_and_alignment(result)


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.shared
@pytest.mark.parametrize("board", ["qemu-m4", "qemu-m7"])
@pytest.mark.parametrize("name", SMALL)
def test_shared_models_in_qemu(name, board, tmp_path):
    assert_bit_exact(compiled(shared_model(name), board, tmp_path), ("qemu",), examples(30))


@pytest.mark.slow
@pytest.mark.shared
def test_mobilenetv2_on_the_host(tmp_path):
    # with fewer bits, or in patches, it does fit
    options = {"weight_bits": "8", "patch": "off", "calibration_limit": CALIBRATION_LIMIT}
    result = compiled(shared_model(MOBILENET), "nucleo-f767", tmp_path, build=False, **options)
    assert_bit_exact(result, ("host",), 10)
    wanted = r"weights and tables need [\d,]+ bytes of flash, [\d,]+ more than there are for them.*--weight-bits auto"
    assert any(re.search(wanted, note, re.DOTALL) for note in result.data["compile"]["notes"])
    assert result.data["compile"]["seconds"] < 60


@pytest.mark.slow
@pytest.mark.shared
def test_a_network_that_does_not_fit_says_by_how_much_and_leaves_nothing(tmp_path):
    with pytest.raises(QuantMCUError, match=r"need [\d,]+ bytes of \w+, [\d,]+ more than nucleo-f411 has") as caught:
        compiled(shared_model(MOBILENET), "nucleo-f411", tmp_path, weight_bits="8", patch="off")
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.shared
@pytest.mark.parametrize("name", sorted(LAYERWISE_BOUND))
def test_ram_is_no_larger_than_the_layerwise_bound_plus_five_percent(name, tmp_path):
    memory = compiled(shared_model(name), "nucleo-f767", tmp_path, build=False).data["memory"]
    assert memory["arena_bytes"] <= LAYERWISE_BOUND[name] * 1.05
    assert memory["arena_bytes"] == memory["arena_lower_bound_bytes"]
