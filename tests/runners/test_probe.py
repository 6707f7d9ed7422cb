"""`quantmcu probe`: how long SMLAL takes on a board, over a serial port."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import quantmcu.probe as probing
from quantmcu.emulator import Emulator
from quantmcu.emulator.timing import cycle_model
from quantmcu.emulator.transport import EmulatorPty
from quantmcu.errors import ToolError, UsageError
from quantmcu.probe import explain, probe_board
from quantmcu.targets import Board, load_board

EXPECTED = {1: 1.7, 2: 2.9}


@pytest.fixture
def board_on_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Flashing starts an emulated board, on whose core SMLAL takes two cycles, behind this port."""
    port, done = tmp_path / "port", threading.Event()
    with ExitStack() as stack:

        def flash(folder: Path, board: Board, **options: object) -> None:
            slow = cycle_model("cortex-m7", long_multiply_cycles=2)
            pty = stack.enter_context(EmulatorPty(Emulator(folder / "firmware.elf", board, cycle_model=slow)))
            port.symlink_to(pty.path)
            thread = threading.Thread(target=pty.serve, args=(done.is_set,), daemon=True)
            thread.start()
            stack.callback(thread.join, 10)
            stack.callback(done.set)

        monkeypatch.setattr(probing, "flash_project", flash)
        yield port


@pytest.mark.slow
def test_finds_two_cycles_over_a_serial_port(board_on_port: Path, tmp_path: Path) -> None:
    found = probe_board(load_board("nucleo-f767"), tmp_path / "probe", port=str(board_on_port))
    assert found.cycles == 2
    assert found.ratio == pytest.approx(found.expected[2], rel=0.02)
    assert found.expected[2] > 1.5 * found.expected[1]
    assert str(board_on_port) in found.runner


@pytest.mark.parametrize(("ratio", "cycles"), [(1.5, 1), (1.7, 1), (2.0, 1), (2.5, 2), (3.4, 2)])
def test_the_nearest_expectation_counts(ratio: float, cycles: int) -> None:
    assert explain(ratio, EXPECTED, "a board") == cycles


def test_a_ratio_that_nothing_explains() -> None:
    with pytest.raises(ToolError, match="the measurement fits no number of cycles") as caught:
        explain(5.0, EXPECTED, "a board")
    assert caught.value.why == "ratio of the layers 5.00; expected 1.70 for 1, 2.90 for 2"


def test_other_cores_leave_no_question(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is nothing to probe on nucleo-f411") as caught:
        probe_board(load_board("nucleo-f411"), tmp_path)
    assert caught.value.why == "only Cortex-M7's timing of SMLAL is open, this is cortex-m4"
