"""The emulated board's console as a line: in process, and as a pseudo-terminal."""

from __future__ import annotations

import os
import sys
import threading
import time

import pytest
from small_firmware import start

from quantmcu.device.transport import Deadline, SerialTransport
from quantmcu.emulator.transport import EmulatorPty, EmulatorTransport

ECHOED = bytes(b for b in range(256) if chr(b) not in "rwxeubogHsfFcmkhnzl")


def read_all(transport, size):
    received = b""
    deadline = Deadline(10)
    while len(received) < size and not deadline.passed:
        received += transport.read(4096, 1.0)
    return received


@pytest.fixture
def transport(tmp_path):
    return EmulatorTransport(start(tmp_path))


def test_bytes_go_there_and_back(transport):
    transport.write(ECHOED)
    assert read_all(transport, len(ECHOED)) == ECHOED


def test_no_more_than_the_maximum_is_returned(transport):
    transport.write(ECHOED)
    assert transport.read(10, 1.0) == ECHOED[:10]
    assert read_all(transport, len(ECHOED) - 10) == ECHOED[10:]


def test_reading_from_a_waiting_firmware_takes_the_timeout_but_no_work(transport):
    before = transport.emulator.instructions
    started = time.monotonic()
    assert transport.read(100, 0.2) == b""
    assert 0.15 <= time.monotonic() - started < 2
    assert transport.emulator.instructions - before < 10_000


def test_a_busy_firmware_does_not_hold_up_the_reader(transport):
    transport.write(b"z")
    started = time.monotonic()
    assert transport.read(100, 0.1) == b""
    assert time.monotonic() - started < 2


def test_a_large_input_passes_quickly(transport):
    data = b"Q" * 200_000
    transport.write(data)
    started = time.monotonic()
    assert read_all(transport, len(data)) == data
    assert len(data) / (time.monotonic() - started) > 50_000  # bytes a second; a real UART carries 11,520


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_the_pseudo_terminal_is_a_serial_port(tmp_path):
    with EmulatorPty(start(tmp_path)) as pty:
        done = threading.Event()
        server = threading.Thread(target=pty.serve, args=(done.is_set,))
        server.start()
        try:
            port = SerialTransport(pty.path)
            for _ in range(3):
                port.write(ECHOED * 20)
                assert read_all(port, 20 * len(ECHOED)) == ECHOED * 20
            port.close()
            again = SerialTransport(pty.path)  # a program may come back
            again.write(b"A")
            assert read_all(again, 1) == b"A"
            again.close()
        finally:
            done.set()
            server.join()
    assert not os.path.exists(pty.path)
