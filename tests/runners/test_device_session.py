"""Sessions with the firmware harness over a real pseudo-terminal."""

import time

import fake_network
import pytest

from quantmcu.device import DeviceSession
from quantmcu.errors import ToolError, UsageError
from quantmcu.runner import TensorInfo


def test_identity(session):
    identity = session.identify()
    assert (identity.protocol, identity.api, identity.model, identity.board) == (1, 1, "fake", "posix")
    assert (identity.model_sha256, identity.clock_hz) == (fake_network.SHA256, 10**9)
    assert identity.has_cycle_counter
    assert identity.inputs[1] == TensorInfo("y", 4, (1, 2, 3, 5), 18, 0.25, 7)
    assert [tensor.bits for tensor in identity.outputs] == [8, 2, 32]
    assert session.step_names == ("sum", "reduce")
    assert session.info.runner == f"posix ({session._where})"


def test_many_inferences(session):
    """More requests than there are sequence numbers."""
    for seed in range(60):
        inputs = fake_network.random_inputs(seed)
        assert fake_network.same(session.infer(inputs), fake_network.expected(inputs))


def test_tensors_of_several_chunks(tall_device):
    with DeviceSession.open_port(tall_device.port) as session:
        assert session.identify().inputs[0].byte_count == 4500
        inputs = fake_network.random_inputs(1, 300)
        assert fake_network.same(session.infer(inputs), fake_network.expected(inputs))


def test_wrong_inputs_do_not_reach_the_device(session):
    with pytest.raises(UsageError, match="the network has 2, got 1"):
        session.infer(fake_network.random_inputs(0)[:1])


def test_times(session):
    times = session.run(70, fake_network.random_inputs(0))
    assert len(times.cycles) == 70
    assert times.first_run == 0
    assert times.minimum <= times.median <= times.maximum
    assert times.milliseconds == pytest.approx(times.median / 1e6)
    assert session.run(1).first_run == 70
    profile = session.profile(5)
    assert profile.names == ("sum", "reduce")
    assert all(len(step.cycles) == 5 for step in profile.steps)
    for run, total in enumerate(profile.whole.cycles):
        assert sum(step.cycles[run] for step in profile.steps) == total
    assert profile.total_minimum <= min(profile.whole.cycles)
    with pytest.raises(UsageError, match="the number of runs must be at least 1"):
        session.run(0)


def test_more_steps_than_one_answer_holds(session, monkeypatch):
    monkeypatch.setattr("quantmcu.device.session.PROFILE_STEPS", 1)
    profile = session.profile(3)
    assert [len(step.cycles) for step in profile.steps] == [3, 3]
    assert len(profile.whole.cycles) == 3
    assert session.run(1).first_run == 6


def test_a_run_longer_than_the_line_timeout_is_not_done_twice(device):
    with DeviceSession.open_port(device.port) as session:
        session._line.timeout = 0.02
        inputs = fake_network.misbehaving_inputs(fake_network.SLOW)
        assert fake_network.same(session.infer(inputs), fake_network.expected(inputs))
        assert session.counters().repeated > 1
        assert session.run(1).first_run == 1


def test_a_profile_longer_than_the_line_timeout_is_not_done_twice(device):
    """Else each repetition would keep the device from its next request."""
    with DeviceSession.open_port(device.port) as session:
        session._line.timeout = 0.02
        session.profile(1, fake_network.misbehaving_inputs(fake_network.SLOW))
        assert session.counters().repeated > 1
        assert session.run(1).first_run == 1


def test_marks_echo_counters_reset(session):
    assert session.marks().arena_bytes == 30
    session.echo(bytes(range(256)))
    before = session.counters()
    assert before.dropped == 0
    session.reset()
    assert session.counters().received < before.received


def test_another_model_is_named_with_both_hashes(device):
    with (
        DeviceSession.open_port(device.port, expected_sha256="ab" * 32) as session,
        pytest.raises(ToolError) as caught,
    ):
        session.infer(fake_network.random_inputs(0))
    assert "the device runs another model than this one" in str(caught.value)
    assert f"expected {'ab' * 32}, the device has {fake_network.SHA256} ('fake')" in str(caught.value)
    assert "quantmcu flash" in str(caught.value)


def test_a_crash_is_reported_with_its_address(plain_device):
    with DeviceSession.open_port(plain_device.port) as session:
        with pytest.raises(ToolError, match=r"the firmware crashed\n  why:  BusFault at address 0x60000000, pc 0x"):
            session.infer(fake_network.misbehaving_inputs(fake_network.WRITE))
        inputs = fake_network.random_inputs(3)
        assert fake_network.same(session.infer(inputs), fake_network.expected(inputs))


def test_an_earlier_fault_is_not_taken_for_a_new_one(plain_device):
    with DeviceSession.open_port(plain_device.port) as first:
        first.load_inputs(fake_network.misbehaving_inputs(fake_network.WRITE))
        first._line._transport.write(b"\0\x05\x05\x09\x01\x01")  # a RUN is on its way when the host goes away
        first._raise_fault = lambda: None
        with pytest.raises(ToolError, match="restarts again and again"):
            first.infer(fake_network.misbehaving_inputs(fake_network.WRITE))
    with DeviceSession.open_port(plain_device.port) as second:
        second.identify()
        assert second.earlier_fault is not None
        assert second.earlier_fault.address == 0x60000000
        assert second.fault() is None


def test_an_endless_network_ends_in_a_clear_error(plain_device):
    with DeviceSession.open_port(plain_device.port) as session:
        session._line.timeout, session._run_timeout = 0.05, 0.3
        started = time.monotonic()
        with pytest.raises(
            ToolError, match=r"the device has stopped answering\n  why:  no answer to RUN within 0.55 s"
        ):
            session.infer(fake_network.misbehaving_inputs(fake_network.ENDLESS))
        assert time.monotonic() - started < 3
