"""A network compiled, built and "flashed": the emulator runs that very firmware.elf."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

import quantmcu
from quantmcu.board_check import check_network
from quantmcu.build.toolchain import installed_toolchains
from quantmcu.device import DeviceSession
from quantmcu.device.ports import find_port
from quantmcu.device.transport import SerialTransport
from quantmcu.results import Result
from quantmcu.targets import Board
from tests.once import made_once

RESEND_SECONDS = 0.15
ATTEMPTS = 20  # a busy machine may need a few before the emulated board has booted


def images(seed: int, count: int) -> NDArray[np.float32]:
    """Inputs of the network."""
    return np.random.default_rng(seed).normal(0, 1, (count, 3, 16, 16)).astype(np.float32)


def compiled(folder: Path, seed: int = 0, board: str = "nucleo-f767") -> Result:
    """The small network; `seed` changes its weights."""
    if not installed_toolchains():
        pytest.skip("no compiler for the boards: neither arm-none-eabi-gcc nor the Python package ziglang")
    model = check_network()
    if seed:
        weights = np.random.default_rng(seed).normal(0, 0.3, (16, 4)).astype(np.float32)
        (dense,) = [tensor for tensor in model.graph.initializer if tensor.name == "dense_w"]
        dense.CopyFrom(onnx.numpy_helper.from_array(weights, "dense_w"))
    path = folder / "small.onnx"
    onnx.save(model, str(path))
    return quantmcu.compile(path, board, calibration=images(1, 16), out=folder / "project")


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The small network, compiled once; a copy for each test process."""
    folder = tmp_path_factory.mktemp("device") / "project"
    shutil.copytree(made_once("check network for devices", compiled) / "project", folder)
    return Result.load(folder)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is lost is asked again soon: a bad line costs the tests less time."""

    def open_board(board: Board, port: str | None = None, sha256: str | None = None) -> DeviceSession:
        found = find_port(board, port)
        session = DeviceSession(SerialTransport(found, board.console.baud), found, sha256, RESEND_SECONDS, 10.0)
        session._line.attempts = ATTEMPTS
        return session

    monkeypatch.setattr(DeviceSession, "open_board", open_board)
