"""Whatever the line or the device does: a right result or a clear error, in bounded time; never a wrong result."""

import os
import pty
import time
import tty

import fake_network
import pytest
from native_device import BadLine

from quantmcu.device import DeviceSession, SerialTransport
from quantmcu.errors import ToolError

SHORT = 0.03  # seconds until a request is sent again, where that happens often
LONG = 1.0  # where the device should answer, however busy this machine is


def bad_session(device, seed=0, rate=0.0, timeout=SHORT):
    line = BadLine(SerialTransport(device.port), seed, rate)
    return line, DeviceSession(line, "test line", timeout=timeout, run_timeout=2.0)


@pytest.mark.parametrize("seed", range(2))
def test_a_bad_line_is_recovered_from(tall_device, seed):
    """About one damaged byte in 1,000: every second long frame."""
    line, session = bad_session(tall_device, seed, 1e-3)
    line.lost_writes = line.doubled_writes = 0.05
    session._line.attempts = 40
    with session:
        for index in range(3):
            inputs = fake_network.random_inputs(index, 300)
            assert fake_network.same(session.infer(inputs), fake_network.expected(inputs))
    assert line.damage > 5


@pytest.mark.parametrize("seed", range(2))
def test_a_hopeless_line_gives_an_error_or_a_right_result(device, seed):
    line, session = bad_session(device, seed, 0.04)
    started = time.monotonic()
    refusals = []
    with session:
        for index in range(6):
            inputs = fake_network.random_inputs(index)
            try:
                outputs = session.infer(inputs)
            except ToolError as error:
                refusals.append(error.what)
            else:
                assert fake_network.same(outputs, fake_network.expected(inputs))
    assert all("answer" in refusal or "other firmware" in refusal for refusal in refusals)
    assert line.damage > 5
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("when", range(1, 12))
def test_a_reset_in_the_middle_is_recovered_from(tall_device, when):
    """The device resets before the host's write number `when`: while loading, before the run, while reading."""
    line, session = bad_session(tall_device, timeout=LONG)
    with session:
        session.identify()
        writes = 0

        def reset_once():
            nonlocal writes
            writes += 1
            if writes == when:
                tall_device.reset()

        line.before_write = reset_once
        inputs = fake_network.random_inputs(when, 300)
        assert fake_network.same(session.infer(inputs), fake_network.expected(inputs))
        assert writes >= when


def test_a_lost_greeting_is_noticed(tall_device):
    """The device resets and the line loses its greeting: its state says that something is missing."""
    _, session = bad_session(tall_device, timeout=LONG)
    with session:
        session.identify()
        inputs = fake_network.random_inputs(5, 300)
        session.load_inputs(inputs)
        tall_device.reset()
        assert session._line.wait_for_greeting(5.0) is not None
        with pytest.raises(Exception, match="INPUTS_NOT_LOADED"):
            session._run(1, fresh_inputs=())
        assert fake_network.same(session.infer(inputs), fake_network.expected(inputs))


def test_a_device_that_always_resets_is_given_up(device):
    line, session = bad_session(device)
    with session:
        session.identify()
        line.before_write = device.reset
        started = time.monotonic()
        with pytest.raises(ToolError, match=r"restarts again and again|does not answer|stopped answering"):
            session.infer(fake_network.random_inputs(0))
        assert time.monotonic() - started < 10


def test_a_stalled_device(device):
    _, session = bad_session(device)
    with session:
        session.identify()
        device.stall()
        with pytest.raises(
            ToolError, match=r"the device has stopped answering\n  why:  no answer to LOAD_INPUT within"
        ):
            session.infer(fake_network.random_inputs(0))
        device.reset()
        session._line.timeout = LONG
        inputs = fake_network.random_inputs(1)
        assert fake_network.same(session.infer(inputs), fake_network.expected(inputs))


def silent_port():
    controller, terminal = pty.openpty()
    tty.setraw(terminal)
    return controller, terminal, os.ttyname(terminal)


def test_nobody_there_and_other_firmware():
    controller, terminal, port = silent_port()
    session = DeviceSession(SerialTransport(port), port, timeout=SHORT)
    with pytest.raises(ToolError, match=r"the device does not answer\n  why:  no answer to IDENTIFY within 0.15 s"):
        session.identify()
    os.write(controller, b"Mbed OS 6.15 ready\r\n> ")
    with pytest.raises(ToolError, match="other firmware") as caught:
        session.identify()
    assert "last words were: 'Mbed OS 6.15 ready\\r\\n>'" in str(caught.value)
    assert "quantmcu flash" in str(caught.value)
    session.close()
    os.close(controller)
    os.close(terminal)


def test_unplugged(device):
    session = DeviceSession(SerialTransport(device.port), device.port, timeout=SHORT)
    session.identify()
    device.close()
    with pytest.raises(ToolError, match=r"the connection to the device broke off|stopped answering"):
        session.marks()
    session.close()
