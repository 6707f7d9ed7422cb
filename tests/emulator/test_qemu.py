"""QEMU as the second emulator."""

from __future__ import annotations

import pytest
from small_firmware import build, command, start

from quantmcu.device.transport import Deadline
from quantmcu.emulator.qemu import start_qemu
from quantmcu.errors import ToolError, UsageError
from quantmcu.targets import load_board

# Not: BKPT, for which QEMU sets FORCED in place of DEBUGEVT, and writes to flash, which is RAM in its machines.
COMMANDS = ["ABC", "s", "n", "Ff", "sA", "r", "Hr", "Hx", "Hu", "He", "Hgo", "HFfr"]


def receive(qemu, wanted):
    """What QEMU sends until the text is complete or 3 seconds are over."""
    received = ""
    deadline = Deadline(3)
    while len(received) < len(wanted) and not deadline.passed:
        received += qemu.read(4096, 0.2).decode()
    return received


@pytest.mark.qemu
@pytest.mark.parametrize("board", [pytest.param("qemu-m4", marks=pytest.mark.slow), "qemu-m7"])
def test_qemu_and_the_emulator_agree(board, tmp_path):
    """Also on the registers that a fault handler sees."""
    emulator = start(tmp_path, board)
    elf = tmp_path / "qemu.elf"
    elf.write_bytes(build(board))
    qemu = start_qemu(elf, load_board(board))
    try:
        assert receive(qemu, "start 00000001\n") == "start 00000001\n"
        for letters in COMMANDS:
            emulated = command(emulator, letters)
            qemu.write(letters.encode())
            assert (letters, receive(qemu, emulated)) == (letters, emulated)
    finally:
        qemu.close()


def test_boards_that_qemu_does_not_have_are_refused(tmp_path):
    with pytest.raises(UsageError) as error:
        start_qemu(tmp_path / "firmware.elf", load_board("nucleo-f767"))
    assert "QEMU cannot run firmware of nucleo-f767" in str(error.value)
    assert "qemu-m7" in error.value.hint


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UsageError) as error:
        start_qemu(tmp_path / "firmware.elf", load_board("qemu-m7"))
    assert error.value.where == str(tmp_path / "firmware.elf")


def test_a_missing_qemu_is_an_error_with_a_remedy(tmp_path, monkeypatch):
    (tmp_path / "firmware.elf").write_bytes(b"")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError) as error:
        start_qemu(tmp_path / "firmware.elf", load_board("qemu-m7"))
    assert "qemu-system-arm is not installed" in str(error.value)
    assert "apt install qemu-system-arm" in error.value.hint
