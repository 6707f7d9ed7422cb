"""Finding the board's port."""

import os
from types import SimpleNamespace

import pytest
from serial.tools import list_ports

from quantmcu.device import DeviceSession, find_port, list_serial_ports
from quantmcu.errors import ToolError
from quantmcu.targets import load_board

BOARD = load_board("nucleo-f767")


def plug(monkeypatch, *ports):
    entries = [
        SimpleNamespace(device=device, description="STM32 STLink", vid=vid, pid=pid, serial_number=number)
        for device, vid, pid, number in ports
    ]
    monkeypatch.setattr(list_ports, "comports", lambda: entries)


def test_the_only_board_is_found(monkeypatch):
    plug(monkeypatch, ("/dev/null", 0x0483, 0x374B, "A1"), ("/dev/ttyS0", None, None, None))
    assert find_port(BOARD) == "/dev/null"
    assert str(list_serial_ports()[0]) == "/dev/null (STM32 STLink, USB 0483:374b, serial number A1)"


def test_no_board(monkeypatch):
    plug(monkeypatch, ("/dev/ttyUSB7", 0x1A86, 0x7523, ""))
    with pytest.raises(ToolError) as caught:
        find_port(BOARD)
    assert str(caught.value) == (
        "nucleo-f767: no such board is connected\n"
        "  why:  its USB ids are 0483:374b; connected are: /dev/ttyUSB7 (STM32 STLink, USB 1a86:7523)\n"
        "  hint: plug it in with a data cable, or name its port with --port; `--on emulator` needs no board"
    )
    plug(monkeypatch)
    with pytest.raises(ToolError, match="connected are: no serial ports at all"):
        find_port(BOARD)


def test_several_boards(monkeypatch):
    plug(monkeypatch, ("/dev/ttyACM1", 0x0483, 0x374B, "B2"), ("/dev/ttyACM0", 0x0483, 0x374B, "A1"))
    with pytest.raises(
        ToolError, match=r"2 boards fit\n.*/dev/ttyACM0 .*A1.*/dev/ttyACM1 .*B2.*\n  hint: choose one with --port"
    ):
        find_port(BOARD)
    assert find_port(BOARD, wanted="/dev/null") == "/dev/null"
    assert find_port(BOARD, wanted="socket://localhost:4321") == "socket://localhost:4321"


def test_no_permission(monkeypatch):
    plug(monkeypatch, ("/dev/null", 0x0483, 0x374B, "A1"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(ToolError) as caught:
        find_port(BOARD)
    assert str(caught.value) == (
        "/dev/null: no permission to open the port\n"
        "  why:  it belongs to another user or group\n"
        "  hint: join the port's group (`sudo usermod -aG dialout $USER`, then log in again), or write these rules to "
        "/etc/udev/rules.d/60-quantmcu.rules:\n"
        '        SUBSYSTEM=="tty", ATTRS{idVendor}=="0483", ATTRS{idProduct}=="374b", MODE="0660", TAG+="uaccess"\n'
        "        then run `sudo udevadm control --reload && sudo udevadm trigger`"
    )


def test_a_port_that_is_not_there(monkeypatch):
    plug(monkeypatch)
    with pytest.raises(ToolError, match="/dev/no-such-port: there is no such port"):
        find_port(BOARD, wanted="/dev/no-such-port")
    with pytest.raises(ToolError, match="/dev/no-such-port: the serial port cannot be opened"):
        DeviceSession.open_port("/dev/no-such-port")


def test_a_port_in_use(device):
    with (
        DeviceSession.open_port(device.port),
        pytest.raises(ToolError, match=r"cannot be opened(.|\n)*no serial monitor open"),
    ):
        DeviceSession.open_port(device.port)


def test_a_session_with_the_board_that_is_found(monkeypatch, device):
    plug(monkeypatch, (device.port, 0x0483, 0x374B, "A1"))
    with DeviceSession.open_board(BOARD) as session:
        assert session.info.runner == f"posix (nucleo-f767 on {device.port})"
