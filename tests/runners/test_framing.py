"""Frames survive any payload, and nothing else passes for one."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from quantmcu.device.framing import Frame, FrameReader, cobs_decode, cobs_encode, decode_frame, encode_frame

payloads = st.binary(max_size=1500) | st.builds(
    lambda start, length, end: start + b"x" * length + end,
    st.binary(max_size=3),
    st.integers(250, 770),
    st.binary(max_size=3),
)
frames = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), payloads)


def test_cobs_examples_of_its_paper():
    assert cobs_encode(b"") == b"\x01"
    assert cobs_encode(b"\0") == b"\x01\x01"
    assert cobs_encode(b"\x45\0\0\x2c") == b"\x02\x45\x01\x02\x2c"
    assert cobs_encode(b"1" * 253) == b"\xfe" + b"1" * 253
    assert cobs_decode(b"\xff" + b"1" * 254) == b"1" * 254  # the paper leaves the empty last block out
    assert cobs_decode(b"\x03\x31") is None
    assert zlib.crc32(b"123456789") == 0xCBF43926


@given(payloads)
def test_cobs_round_trip(data):
    encoded = cobs_encode(data)
    assert 0 not in encoded
    assert len(encoded) <= len(data) + len(data) // 254 + 1
    assert cobs_decode(encoded) == data


@given(st.lists(st.tuples(st.binary(max_size=30), frames), max_size=5), st.integers(1, 40))
def test_reader_finds_every_frame_between_noise(pieces, size):
    line = b"".join(noise + encode_frame(frame) for noise, frame in pieces)
    reader = FrameReader()
    found = [frame for start in range(0, len(line), size) for frame in reader.feed(line[start : start + size])]
    assert found == [frame for _, frame in pieces]


@given(frames, st.data())
def test_a_flipped_bit_is_never_a_frame(frame, data):
    encoded = bytearray(encode_frame(frame))
    bit = data.draw(st.integers(8, len(encoded) * 8 - 9))
    encoded[bit // 8] ^= 1 << bit % 8
    assert frame not in FrameReader().feed(bytes(encoded))
    assert all(decode_frame(bytes(piece)) is None for piece in encoded.split(b"\0"))


def test_text_between_frames_is_kept_until_the_next_frame():
    reader = FrameReader()
    reader.feed(b"FAULT at 0x12\r\n")
    assert reader.last_text() == "FAULT at 0x12\r\n"
    reader.feed(encode_frame(Frame(1, 2)))
    assert (reader.last_text(), reader.frames, reader.dropped) == ("", 1, 0)
    reader.feed(b"\x80\xff\0")
    assert reader.dropped == 1


def test_endless_noise_takes_bounded_memory():
    reader = FrameReader()
    for _ in range(40):
        reader.feed(b"\xaa" * 10000)
    assert len(reader._pending) <= 1 << 17
