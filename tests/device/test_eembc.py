"""The MLPerf Tiny harness, asked as the public runner asks (mlcommons/tiny, benchmark/runner), over a terminal."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
import serial
from numpy.typing import NDArray

import quantmcu
from quantmcu.board_check import check_network
from quantmcu.build.toolchain import installed_toolchains
from quantmcu.emulator import Emulator
from quantmcu.emulator.transport import EmulatorPty
from quantmcu.errors import UsageError
from quantmcu.program.serialize import load_program
from quantmcu.reference import execute
from quantmcu.results import Result
from tests.device.conftest import images

INPUT_BYTES = 16 * 16 * 3
BYTES_A_COMMAND = 31  # of the runner


class Runner:
    """The runner's side: sends `command%`, collects lines until one says that the device is ready."""

    def __init__(self, port: str) -> None:
        self._port = serial.Serial(port, 115200, timeout=20)

    def lines_until_ready(self) -> list[str]:
        lines = []
        while True:
            line = self._port.readline().decode("ascii")
            assert line.endswith("\r\n"), f"after {lines}: {line!r}"
            if line.strip() == "m-ready":
                return lines
            lines.append(line.removesuffix("\r\n"))

    def ask(self, command: str) -> list[str]:
        self._port.write(f"{command}%".encode())
        return self.lines_until_ready()

    def load(self, data: bytes) -> list[str]:
        assert self.ask(f"db load {len(data)}") == [f"m-[Expecting {len(data)} bytes]"]
        lines = []
        for start in range(0, len(data), BYTES_A_COMMAND):
            lines += self.ask(f"db {data[start : start + BYTES_A_COMMAND].hex()}")
        return lines

    def close(self) -> None:
        self._port.close()


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Result:
    if not installed_toolchains():
        pytest.skip("no compiler for the boards: neither arm-none-eabi-gcc nor the Python package ziglang")
    folder = tmp_path_factory.mktemp("eembc")
    onnx.save(check_network(), str(folder / "ic01.onnx"))
    return quantmcu.compile(
        folder / "ic01.onnx", "nucleo-l4r5", calibration=images(1, 16), out=folder / "project", harness="eembc"
    )


@contextmanager
def running(result: Result) -> Iterator[Runner]:
    done = threading.Event()
    with EmulatorPty(Emulator(result.elf, result.board)) as terminal:
        runner = Runner(terminal.path)
        thread = threading.Thread(target=terminal.serve, args=(done.is_set,), daemon=True)
        thread.start()
        try:
            yield runner
        finally:
            done.set()
            thread.join(10)
            runner.close()


@pytest.fixture(scope="module")
def runner(benchmark: Result) -> Iterator[Runner]:
    with running(benchmark) as runner:
        lines = runner.lines_until_ready()
        assert lines[0] == "m-timestamp-mode-performance"
        assert re.fullmatch(r"m-lap-us-\d+", lines[1])
        assert lines[2:] == ["m-init-done"]
        yield runner


def expected_results(result: Result, codes: NDArray[np.uint8]) -> list[float]:
    """What the reference computes, as real numbers."""
    program = load_program(result.folder / "program.npz")
    (output,) = execute(program, {program.inputs[0]: codes}).values()
    port = result.data["model"]["outputs"][0]
    return [port["scale"] * (int(code) - port["zero_point"]) for code in output.ravel()]


def results_in(line: str) -> list[float]:
    match = re.fullmatch(r"m-results-\[((?:-?\d+\.\d{3},?)+)\]", line)
    assert match is not None, line
    return [float(value) for value in match[1].split(",")]


def test_who_are_you(runner: Runner) -> None:
    assert runner.ask("name") == ["m-name-dut-[QuantMCU]"]
    assert runner.ask("profile") == ["m-profile-[ULPMark for tinyML Firmware V0.0.1]", "m-model-[ic01]"]
    help_text = runner.ask("help")
    assert help_text[0] == "ULPMark for tinyML Firmware V0.0.1"
    assert any(line.startswith("infer N [W]") for line in help_text)


def test_time_goes_on(runner: Runner) -> None:
    first, second = (int(runner.ask("timestamp")[0].removeprefix("m-lap-us-")) for _ in range(2))
    assert second > first


def test_inference_on_codes(runner: Runner, benchmark: Result) -> None:
    codes = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), np.uint8)
    assert runner.load(codes.tobytes()) == ["m-load-done"]
    lines = runner.ask("infer 3 2")
    assert lines[:3] == ["m-warmup-start-2", "m-warmup-done", "m-infer-start-3"]
    laps = [int(line.removeprefix("m-lap-us-")) for line in lines[3:5]]
    assert lines[5] == "m-infer-done"
    assert len(lines) == 7
    assert results_in(lines[6]) == pytest.approx(expected_results(benchmark, codes), abs=6e-4)
    assert runner.ask("results") == [lines[6]], "the input was loaded once, and every run begins with it"
    once = [int(line.removeprefix("m-lap-us-")) for line in runner.ask("infer 1 0")[3:5]]
    assert laps[1] - laps[0] > 2 * (once[1] - once[0]) > 0


def test_inference_on_floats(runner: Runner, benchmark: Result) -> None:
    values = images(3, 1)[0].transpose(1, 2, 0)
    port = benchmark.data["model"]["inputs"][0]
    codes = np.clip(np.rint(values / np.float32(port["scale"])) + port["zero_point"], 0, 255).astype(np.uint8)
    assert runner.load(values.astype("<f4").tobytes()) == ["m-load-done"]
    dump = bytes.fromhex("".join(line.removeprefix("m-buffer-").replace("-", "") for line in runner.ask("db print")))
    assert dump == codes.tobytes()
    assert results_in(runner.ask("infer 1 0")[-1]) == pytest.approx(expected_results(benchmark, codes[None]), abs=6e-4)


def test_printing_the_buffer(runner: Runner) -> None:
    runner.ask(f"db load {INPUT_BYTES}")
    runner.ask("db 000102030405060708090AfF")
    assert runner.ask("db print") == ["m-buffer-00-01-02-03-04-05-06-07", "m-buffer-08-09-0a-ff"]


def test_more_digits_than_announced_are_disregarded(runner: Runner) -> None:
    runner.ask(f"db load {INPUT_BYTES}")
    for _ in range(INPUT_BYTES // 32 - 1):
        assert runner.ask(f"db {'11' * 32}") == []
    assert runner.ask(f"db {'22' * 33}") == ["m-load-done"]
    assert runner.ask("db 33") == ["e-[Command 'db load' must come first]"]
    assert runner.ask("db print")[-1] == "m-buffer-" + "-".join(["22"] * 8)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("nonsense", "e-[Unknown command: nonsense]"),
        ("db", "e-[Command 'db' requires a subcommand]"),
        ("db load", "e-[Command 'db load' requires the # of bytes]"),
        ("db load 0", "e-[Command 'db load' must be >0 bytes]"),
        ("db load 5", "e-[The input takes 768 bytes, or 3072 bytes of floats]"),
        ("db load 99999999999999999999", "e-[Command 'db load' must be >0 bytes]"),
        ("infer 0", "e-[Inference iterations must be >0]"),
        ("infer x", "e-[Inference iterations must be >0]"),
        ("infer 1 -1", "e-[Inference warmup must be >=0]"),
    ],
)
def test_what_is_wrong_is_said(runner: Runner, command: str, answer: str) -> None:
    assert runner.ask(command) == [answer]


def test_wrong_digits(runner: Runner) -> None:
    runner.ask(f"db load {INPUT_BYTES}")
    assert runner.ask("db 123") == ["e-[Insufficent number of hex digits]"]
    assert runner.ask("db 12zz") == ["e-[Invalid hex digit 'zz']"]
    assert runner.ask("infer 1 0") == ["e-[The input is not loaded: 767 bytes are missing]"]


def test_empty_and_long_commands(runner: Runner) -> None:
    """A lone terminator resynchronises; a command beyond 80 characters is cut, not a crash."""
    assert runner.ask("") == []
    assert runner.ask("  name") == ["m-name-dut-[QuantMCU]"]
    assert runner.ask("\r\nname") == ["m-name-dut-[QuantMCU]"]
    assert runner.ask("x" * 500) == [f"e-[Unknown command: {'x' * 80}]"]
    assert runner.ask("name") == ["m-name-dut-[QuantMCU]"]


def test_results_before_any_inference(benchmark: Result) -> None:
    with running(benchmark) as runner:
        runner.lines_until_ready()
        assert runner.ask("results") == ["e-[There are no results: infer first]"]
        assert runner.ask("infer 1") == ["e-[The input is not loaded: 0 bytes are missing]"]


@pytest.mark.slow
def test_input_on_demand_without_floating_point_unit(tmp_path: Path) -> None:
    """RP2040: the network takes its input in patches, straight from the harness's buffer."""
    onnx.save(check_network(), str(tmp_path / "vww01.onnx"))
    result = quantmcu.compile(
        tmp_path / "vww01.onnx",
        "pico",
        calibration=images(1, 8),
        out=tmp_path / "project",
        harness="eembc",
        input_on_demand=True,
        patch="2x2",
    )
    codes = np.random.default_rng(1).integers(0, 256, (1, 16, 16, 3), np.uint8)
    with running(result) as runner:
        runner.lines_until_ready()
        assert runner.ask("profile")[1] == "m-model-[vww01]"
        assert runner.load(codes.tobytes()) == ["m-load-done"]
        assert results_in(runner.ask("infer 2 1")[-1]) == pytest.approx(expected_results(result, codes), abs=6e-4)


def test_own_commands_need_the_own_harness(benchmark: Result) -> None:
    with pytest.raises(UsageError, match="speaks the protocol of the MLPerf Tiny runner"):
        quantmcu.measure(benchmark, on="emulator")


def test_unknown_harness(tmp_path: Path) -> None:
    onnx.save(check_network(), str(tmp_path / "x.onnx"))
    with pytest.raises(UsageError, match="--harness: unknown harness 'mine'"):
        quantmcu.compile(tmp_path / "x.onnx", "pico", calibration="random", out=tmp_path / "out", harness="mine")
