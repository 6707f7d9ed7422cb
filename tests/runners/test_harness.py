"""The firmware harness itself, asked frame by frame over a pseudo-terminal."""

import struct
import time

import fake_network
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantmcu.device import SerialTransport
from quantmcu.device.framing import Frame, FrameReader, encode_frame
from quantmcu.device.protocol import ErrorCode, FrameType, Greeting

LOAD, RUN, READ = FrameType.LOAD_INPUT, FrameType.RUN, FrameType.READ_OUTPUT


class Raw:
    """A line on which single frames are sent."""

    def __init__(self, port):
        self.transport = SerialTransport(port)
        self.reader = FrameReader()
        self.waiting = []

    def receive(self, seconds=2.0):
        end = time.monotonic() + seconds
        while not self.waiting and time.monotonic() < end:
            self.waiting += self.reader.feed(self.transport.read(4096, 0.05))
        return self.waiting.pop(0) if self.waiting else None

    def synchronize(self):
        """Waits until the device has started, and passes over its greeting."""
        self.transport.write(encode_frame(Frame(FrameType.ECHO, 0)))
        while (frame := self.receive()) != Frame(FrameType.ECHO | 0x80, 0):
            assert frame is not None

    def ask(self, kind, payload=b"", sequence=7):
        self.transport.write(encode_frame(Frame(kind, sequence, payload)))
        return self.receive()


@pytest.fixture
def raw(device):
    raw = Raw(device.port)
    raw.synchronize()
    yield raw
    raw.transport.close()


def error(code, request, sequence=7):
    return Frame(FrameType.ERROR, sequence, bytes((code, request)))


def load_all(raw, x=bytes(30), y=bytes(18)):
    assert raw.ask(LOAD, struct.pack("<HI", 0, 0) + x, 1) == Frame(LOAD | 0x80, 1)
    assert raw.ask(LOAD, struct.pack("<HI", 1, 0) + y, 2) == Frame(LOAD | 0x80, 2)


def test_banner_and_greeting(device):
    raw = Raw(device.port)
    raw.synchronize()
    device.reset()
    line = b""
    while line.count(b"\0") < 2:
        line += raw.transport.read(100, 2.0)
    raw.transport.close()
    banner, frame, _ = line.split(b"\0")
    assert banner == (
        b"\r\nQuantMCU: fake on posix at 1000000000 Hz. This port speaks the QuantMCU protocol 1; "
        b"ask it with: quantmcu measure --on device\r\n"
    )
    (greeting,) = FrameReader().feed(frame + b"\0")
    assert Greeting.parse(greeting.payload) == Greeting(1, 1, fake_network.SHA256)


@pytest.mark.parametrize(
    ("request_type", "payload", "code"),
    [
        (0x33, b"", ErrorCode.UNKNOWN_REQUEST),
        (FrameType.IDENTIFY, b"x", ErrorCode.LENGTH),
        (FrameType.DESCRIBE_TENSOR, struct.pack("<BH", 0, 2), ErrorCode.INDEX),
        (FrameType.DESCRIBE_TENSOR, struct.pack("<BH", 1, 3), ErrorCode.INDEX),
        (FrameType.DESCRIBE_STEP, struct.pack("<H", 2), ErrorCode.INDEX),
        (LOAD, struct.pack("<HI", 0, 0), ErrorCode.LENGTH),
        (LOAD, struct.pack("<HI", 0, 0) + bytes(1025), ErrorCode.LENGTH),
        (LOAD, struct.pack("<HI", 2, 0) + b"x", ErrorCode.INDEX),
        (LOAD, struct.pack("<HI", 0, 0) + bytes(31), ErrorCode.RANGE),
        (LOAD, struct.pack("<HI", 0, 0xFFFFFFFF) + b"x", ErrorCode.RANGE),
        (LOAD, struct.pack("<HI", 0, 1) + b"x", ErrorCode.LOAD_ORDER),
        (LOAD, struct.pack("<HI", 1, 0) + b"x", ErrorCode.LOAD_ORDER),
        (RUN, bytes((0, 0)), ErrorCode.RANGE),
        (RUN, bytes((0, 33)), ErrorCode.RANGE),
        (RUN, bytes((1, 1)), ErrorCode.INPUTS_NOT_LOADED),
        (FrameType.PROFILE, struct.pack("<HH", 0, 3), ErrorCode.RANGE),
        (FrameType.PROFILE, struct.pack("<HH", 3, 1), ErrorCode.RANGE),
        (READ, struct.pack("<HIH", 0, 0, 30), ErrorCode.OUTPUTS_NOT_VALID),
        (READ, struct.pack("<HIH", 0, 0, 31), ErrorCode.RANGE),
        (READ, struct.pack("<HIH", 0, 31, 1), ErrorCode.RANGE),
        (READ, struct.pack("<HIH", 3, 0, 1), ErrorCode.INDEX),
    ],
)
def test_every_wrong_request_is_answered_by_a_code(raw, request_type, payload, code):
    assert raw.ask(request_type, payload) == error(code, request_type)


def test_outputs_are_read_only_after_one_run_of_freshly_loaded_inputs(raw):
    read = struct.pack("<HIH", 2, 0, 4)
    load_all(raw, x=bytes([2] * 30))
    assert raw.ask(READ, read, 3) == error(ErrorCode.OUTPUTS_NOT_VALID, READ, 3)
    assert raw.ask(RUN, bytes((1, 1)), 4).payload[0] == 1
    assert raw.ask(READ, read, 5).payload == struct.pack("<I", 60)
    # a second run works on what the first has left, so its outputs are no result
    assert raw.ask(RUN, bytes((1, 1)), 6) == error(ErrorCode.INPUTS_NOT_LOADED, RUN, 6)
    assert raw.ask(RUN, bytes((0, 1)), 7).payload[0] == 0
    assert raw.ask(READ, read, 8) == error(ErrorCode.OUTPUTS_NOT_VALID, READ, 8)


def test_a_repeated_load_or_run_is_answered_but_not_done_again(raw):
    load_all(raw, x=bytes([2] * 30))
    # the same frame again, as after a lost answer
    assert raw.ask(LOAD, struct.pack("<HI", 1, 0) + bytes(18), 2) == Frame(LOAD | 0x80, 2)
    first = raw.ask(RUN, bytes((1, 1)), 3)
    again = raw.ask(RUN, bytes((1, 1)), 3)
    assert again == first
    assert raw.ask(READ, struct.pack("<HIH", 2, 0, 4), 4).payload == struct.pack("<I", 60)
    received, dropped, repeated = struct.unpack("<III", raw.ask(FrameType.COUNTERS, b"", 5).payload)
    assert (received, dropped, repeated) == (8, 0, 2)


def test_a_repeated_profile_is_answered_but_not_done_again(raw):
    first = raw.ask(FrameType.PROFILE, struct.pack("<HH", 0, 2), 3)
    assert raw.ask(FrameType.PROFILE, struct.pack("<HH", 0, 2), 3) == first
    assert raw.ask(FrameType.PROFILE, struct.pack("<HH", 0, 2), 4).payload[:4] == struct.pack("<I", 1)


def test_a_run_of_many_says_that_it_is_busy_after_each(raw):
    raw.transport.write(encode_frame(Frame(RUN, 9, bytes((0, 32)))))
    frames = [raw.receive() for _ in range(32)]
    assert frames[:31] == [Frame(FrameType.BUSY, 9)] * 31
    assert len(frames[31].payload) == 9 + 32 * 8


def test_longest_chunk_and_beyond(raw):
    longest = bytes(range(256)) * 4
    assert raw.ask(FrameType.ECHO, longest).payload == longest
    too_long = bytes(1100)
    raw.transport.write(encode_frame(Frame(FrameType.ECHO, 8, too_long)))
    assert raw.ask(FrameType.ECHO, b"x", 9) == Frame(FrameType.ECHO | 0x80, 9, b"x")
    assert struct.unpack("<III", raw.ask(FrameType.COUNTERS).payload)[1] == 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=2500), payload=st.binary(max_size=1024), sequence=st.integers(0, 255))
def test_c_and_python_agree_on_frames_after_any_noise(raw, noise, payload, sequence):
    raw.transport.write(noise)
    raw.transport.write(encode_frame(Frame(FrameType.ECHO, sequence, payload)))
    while (frame := raw.receive()) != Frame(FrameType.ECHO | 0x80, sequence, payload):
        assert frame is not None
