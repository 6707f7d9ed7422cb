"""The serial protocol's requests and answers, as firmware/harness/protocol.h defines them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from quantmcu.runner import TensorInfo

PROTOCOL_VERSION = 1
CHUNK_BYTES = 1024
RUNS = 32
PROFILE_STEPS = 256
FRAME_ANSWER = 0x80


class FrameType(IntEnum):
    """Types of frames; an answer has its request's type + FRAME_ANSWER."""

    IDENTIFY = 0x01
    DESCRIBE_TENSOR = 0x02
    DESCRIBE_STEP = 0x03
    LOAD_INPUT = 0x04
    RUN = 0x05
    PROFILE = 0x06
    READ_OUTPUT = 0x07
    MARKS = 0x08
    READ_FAULT = 0x09
    CLEAR_FAULT = 0x0A
    ECHO = 0x0B
    COUNTERS = 0x0C
    RESET = 0x0D
    INPUT_PART = 0x0E
    GREETING = 0x40
    BUSY = 0x41
    NEED_INPUT = 0x42
    ERROR = 0xFF


class Flags(IntFlag):
    """Facts about the device in its greeting and identity."""

    CYCLE_COUNTER = 1
    FAULT_RECORDED = 2


class ErrorCode(IntEnum):
    """What a device says in place of an answer."""

    UNKNOWN_REQUEST = 1
    LENGTH = 2
    INDEX = 3
    RANGE = 4
    LOAD_ORDER = 5
    INPUTS_NOT_LOADED = 6
    OUTPUTS_NOT_VALID = 7


class MalformedAnswerError(ValueError):
    """An answer with a right checksum that is not built as the protocol says: other firmware."""


class PayloadReader:
    """Reads little-endian fields off a payload."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._position = 0

    def take(self, layout: str) -> tuple[int, ...]:
        """Integers of a `struct` layout (without byte order).

        Raises:
            MalformedAnswerError: the payload ends before.
        """
        fields = struct.Struct("<" + layout)
        return fields.unpack(self._bytes(fields.size))

    def one(self, layout: str) -> int:
        """One integer."""
        return self.take(layout)[0]

    def float32(self) -> float:
        """One IEEE 754 single."""
        return float(struct.unpack("<f", self._bytes(4))[0])

    def string(self) -> str:
        """A length u16 and that many bytes of UTF-8."""
        return self._bytes(self.one("H")).decode("utf-8", errors="replace")

    def rest(self) -> bytes:
        """All that is left."""
        return self._bytes(len(self._payload) - self._position)

    def end(self) -> None:
        """Checks that nothing is left.

        Raises:
            MalformedAnswerError: something is.
        """
        if self._position != len(self._payload):
            raise MalformedAnswerError(f"{len(self._payload) - self._position} bytes too many")

    def _bytes(self, count: int) -> bytes:
        if self._position + count > len(self._payload):
            raise MalformedAnswerError(f"{len(self._payload)} bytes are too few")
        start, self._position = self._position, self._position + count
        return self._payload[start : self._position]


@dataclass(frozen=True)
class Greeting:
    """What a device says after a reset."""

    protocol: int
    flags: Flags
    model_sha256: str

    @classmethod
    def parse(cls, payload: bytes) -> Greeting:
        """From a GREETING frame."""
        reader = PayloadReader(payload)
        return cls(reader.one("B"), Flags(reader.one("B")), reader.string())


@dataclass(frozen=True)
class Header:
    """The answer to IDENTIFY: an identity without its tensors."""

    protocol: int
    api: int
    flags: Flags
    clock_hz: int
    input_count: int
    output_count: int
    step_count: int
    board: str
    model: str
    model_sha256: str

    @classmethod
    def parse(cls, payload: bytes) -> Header:
        """From the answer to IDENTIFY. Of another version of the protocol only the version is read.

        Raises:
            MalformedAnswerError: it is not built as its version says.
        """
        reader = PayloadReader(payload)
        protocol = reader.one("B")
        if protocol != PROTOCOL_VERSION:
            return cls(protocol, 0, Flags(0), 0, 0, 0, 0, "", "", "")
        api, flags, clock_hz, inputs, outputs, steps = reader.take("BBIHHH")
        header = cls(
            protocol, api, Flags(flags), clock_hz, inputs, outputs, steps, *(reader.string() for _ in range(3))
        )
        reader.end()
        return header


@dataclass(frozen=True)
class Identity:
    """What the firmware says of itself."""

    protocol: int
    api: int
    model: str
    model_sha256: str
    board: str
    clock_hz: int
    has_cycle_counter: bool
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    step_count: int


def parse_tensor(payload: bytes) -> TensorInfo:
    """From the answer to DESCRIBE_TENSOR.

    Raises:
        MalformedAnswerError: it is not built so.
    """
    reader = PayloadReader(payload)
    bits, on_demand, rank = reader.take("BBB")
    shape = reader.take(f"{rank}i")
    byte_count = reader.one("I")
    scale = reader.float32()
    zero_point = reader.one("i")
    name = reader.string()
    reader.end()
    return TensorInfo(name, bits, shape, byte_count, scale, zero_point, bool(on_demand))


@dataclass(frozen=True)
class InputNeed:
    """What a run needs of an input on demand: `length` bytes from `offset` on of a rectangle of pixels."""

    number: int
    index: int
    row: int
    column: int
    rows: int
    columns: int
    offset: int
    length: int

    @classmethod
    def parse(cls, payload: bytes) -> InputNeed:
        """From NEED_INPUT."""
        reader = PayloadReader(payload)
        need = cls(*reader.take("IHIIIIIH"))
        reader.end()
        return need


def parse_runs(payload: bytes, count: int) -> tuple[bool, int, int, tuple[int, ...]]:
    """From the answer to RUN: inputs were fresh, number of the first run, overhead cycles, cycles by run."""
    reader = PayloadReader(payload)
    fresh, number, overhead = reader.take("BII")
    cycles = reader.take(f"{count}Q")
    reader.end()
    return bool(fresh), number, overhead, cycles


def parse_profile(payload: bytes, count: int) -> tuple[int, int, int, tuple[int, ...]]:
    """From the answer to PROFILE: number of the run, overhead cycles, cycles of the run, cycles by step."""
    reader = PayloadReader(payload)
    number, overhead, total = reader.take("IIQ")
    cycles = reader.take(f"{count}I")
    reader.end()
    return number, overhead, total, cycles


@dataclass(frozen=True)
class Marks:
    """Memory use. The stack's mark is what was painted over since reset; 0 of 0 where nothing paints it."""

    stack_used: int
    stack_size: int
    arena_bytes: int

    @classmethod
    def parse(cls, payload: bytes) -> Marks:
        """From the answer to MARKS."""
        reader = PayloadReader(payload)
        used, size, arena = reader.take("III")
        reader.end()
        return cls(used, size, arena)


@dataclass(frozen=True)
class Counters:
    """The line's quality as the device sees it, since reset."""

    received: int
    dropped: int
    repeated: int

    @classmethod
    def parse(cls, payload: bytes) -> Counters:
        """From the answer to COUNTERS."""
        reader = PayloadReader(payload)
        received, dropped, repeated = reader.take("III")
        reader.end()
        return cls(received, dropped, repeated)
