"""Frames on the serial line: COBS with a CRC-32, as in firmware/harness/frame.h.

A frame is 0x00, the COBS encoding (Cheshire and Baker, "Consistent Overhead Byte Stuffing", 1999) of
`type u8 | sequence u8 | payload | CRC-32 u32 LE`, and 0x00.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

FULL_BLOCK = 254
MAXIMUM_FRAME_BYTES = 1 << 17
TEXT_KEPT = 600


@dataclass(frozen=True)
class Frame:
    """One frame without its wrapping."""

    type: int
    sequence: int
    payload: bytes = b""


def cobs_encode(data: bytes) -> bytes:
    """`data` without zeros."""
    encoded = bytearray()
    for run in data.split(b"\0"):
        for start in range(0, len(run), FULL_BLOCK):
            block = run[start : start + FULL_BLOCK]
            encoded.append(len(block) + 1)
            encoded += block
        if len(run) % FULL_BLOCK == 0:
            encoded.append(1)  # a full block stands for no zero, so an empty one must
    return bytes(encoded)


def cobs_decode(encoded: bytes) -> bytes | None:
    """The inverse of cobs_encode; None when `encoded` is no such encoding."""
    decoded = bytearray()
    position = 0
    while position < len(encoded):
        code = encoded[position]
        block = encoded[position + 1 : position + code]
        if code == 0 or len(block) != code - 1:
            return None
        decoded += block
        position += code
        if code <= FULL_BLOCK and position < len(encoded):
            decoded.append(0)
    return bytes(decoded)


def encode_frame(frame: Frame) -> bytes:
    """The bytes on the line."""
    body = bytes((frame.type, frame.sequence)) + frame.payload
    return b"\0" + cobs_encode(body + zlib.crc32(body).to_bytes(4, "little")) + b"\0"


def decode_frame(encoded: bytes) -> Frame | None:
    """The frame in `encoded`, which comes without its delimiters; None when it is none or is damaged."""
    body = cobs_decode(encoded)
    if body is None or len(body) < 6 or zlib.crc32(body[:-4]) != int.from_bytes(body[-4:], "little"):
        return None
    return Frame(body[0], body[1], body[2:-4])


class FrameReader:
    """Finds frames in a stream of bytes, whatever else comes between them.

    Attributes:
        text: readable text since the last frame, such as a fault handler's message.
        frames: number of good frames.
        dropped: number of pieces between delimiters that were neither frame nor text.
        received: number of bytes seen.
    """

    def __init__(self) -> None:
        self.text = ""
        self.frames = 0
        self.dropped = 0
        self.received = 0
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes."""
        self.received += len(data)
        self._pending += data
        *pieces, rest = self._pending.split(b"\0")
        if len(rest) > MAXIMUM_FRAME_BYTES:
            self.dropped += 1
            rest = bytearray()
        self._pending = bytearray(rest)
        return [frame for piece in pieces if piece and (frame := self._take(bytes(piece)))]

    def last_text(self) -> str:
        """Readable text at the end of what was received, finished by a delimiter or not."""
        return self.text + (_readable(bytes(self._pending)) or "")

    def _take(self, piece: bytes) -> Frame | None:
        frame = decode_frame(piece)
        if frame is not None:
            self.frames += 1
            self.text = ""
        elif (text := _readable(piece)) is not None:
            self.text = (self.text + text)[-TEXT_KEPT:]
        else:
            self.dropped += 1
        return frame


def _readable(piece: bytes) -> str | None:
    """`piece` as text; None when it is not ASCII text."""
    if not piece.isascii():
        return None
    text = piece.decode("ascii")
    return text if all(char.isprintable() or char in "\r\n\t\b" for char in text) else None
