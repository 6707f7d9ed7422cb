"""Requests and answers over a line that loses, doubles and flips bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from quantmcu.device.framing import Frame, FrameReader, encode_frame
from quantmcu.device.protocol import FRAME_ANSWER, ErrorCode, FrameType, Greeting, MalformedAnswerError
from quantmcu.device.transport import Deadline, Transport
from quantmcu.errors import ToolError

READ_BYTES = 4096


class RefusedError(Exception):
    """The device answered with an error code."""

    def __init__(self, code: int, request: FrameType) -> None:
        self.code = code
        name = ErrorCode(code).name if code in list(ErrorCode) else f"error {code}"
        super().__init__(f"{request.name} refused: {name}")


class RestartedError(Exception):
    """The device has reset since the last request."""


class SilentError(ToolError):
    """No answer came."""


class Line:
    """Sends a request again until its answer comes or the time is over.

    A request keeps its sequence number when it is sent again, so that the device does not carry it out twice; answers
    to earlier requests, damaged frames and text between frames are passed over.

    Attributes:
        timeout: seconds after which a request is sent again.
        attempts: how often a quick request is sent before the device counts as silent.
        resent: number of requests that had to be sent more than once.
    """

    def __init__(self, transport: Transport, where: str, timeout: float = 1.0, attempts: int = 5) -> None:
        self.where = where
        self.timeout = timeout
        self.attempts = attempts
        self.resent = 0
        self._transport = transport
        self._reader = FrameReader()
        self._frames: deque[Frame] = deque()
        self._sequence = 0

    def ask(
        self,
        request: FrameType,
        payload: bytes = b"",
        *,
        work_seconds: float = 0.0,
        over_restart: bool = False,
        attempts: int | None = None,
        deliver: Callable[[bytes], bytes] | None = None,
    ) -> bytes:
        """Payload of the answer.

        Args:
            request: what to ask.
            payload: its arguments.
            work_seconds: how long the device may work on it, for requests that run the network; each BUSY frame grants
                as much again.
            over_restart: ask again after a reset of the device; else a reset raises RestartedError.
            attempts: how often to send it at most, where that is not the usual number.
            deliver: payload of INPUT_PART for that of NEED_INPUT, for runs of networks with inputs on demand.

        Raises:
            RefusedError: the device answered with an error code.
            RestartedError: the device has reset meanwhile.
            SilentError: no answer.
            ToolError: the line is broken.
        """
        self._sequence = (self._sequence + 1) & 0xFF
        encoded = encode_frame(Frame(request, self._sequence, payload))
        allowed = self.timeout * (attempts or self.attempts) + work_seconds
        deadline = Deadline(allowed)
        again = 0
        while not deadline.passed:
            self._transport.write(encoded)
            until = Deadline(min(self.timeout, deadline.left))
            while (frame := self._next_frame(until)) is not None:
                if frame.type == FrameType.GREETING:
                    if not over_restart:
                        raise RestartedError
                    break  # whatever was asked before the reset is forgotten: ask again at once
                if frame.sequence != self._sequence:
                    continue
                if frame.type == FrameType.BUSY:
                    deadline = Deadline(allowed)
                    until = Deadline(min(self.timeout, deadline.left))
                elif frame.type == FrameType.NEED_INPUT and deliver is not None:
                    part = Frame(FrameType.INPUT_PART, self._sequence, deliver(frame.payload))
                    self._transport.write(encode_frame(part))
                    deadline = Deadline(allowed)
                    until = Deadline(min(self.timeout, deadline.left))
                elif frame.type == FrameType.ERROR and len(frame.payload) == 2 and frame.payload[1] == request:
                    raise RefusedError(frame.payload[0], request)
                elif frame.type == request | FRAME_ANSWER:
                    self.resent += again > 0
                    return frame.payload
            again += 1
        raise self._silent(request, allowed)

    def wait_for_greeting(self, seconds: float) -> Greeting | None:
        """The greeting of a device that is just starting; None when it has not come in time."""
        until = Deadline(seconds)
        while (frame := self._next_frame(until)) is not None:
            if frame.type == FrameType.GREETING:
                try:
                    return Greeting.parse(frame.payload)
                except MalformedAnswerError:
                    return None
        return None

    def close(self) -> None:
        """Closes the transport."""
        self._transport.close()

    def _next_frame(self, until: Deadline) -> Frame | None:
        while not self._frames:
            data = self._transport.read(READ_BYTES, until.left)
            self._frames.extend(self._reader.feed(data))
            if not self._frames and until.passed:
                return None
        return self._frames.popleft()

    def _silent(self, request: FrameType, seconds: float) -> SilentError:
        said = self._reader.last_text().strip()
        why = f"no answer to {request.name} within {seconds:.3g} s"
        if said:
            why += f"; the device's last words were: {said!r}"
        if self._reader.frames > 0:
            what = "the device has stopped answering"
            hint = "press its reset button and try again; a network slower than this needs a longer run timeout"
        elif self._reader.received > 0:
            what = "the device runs other firmware: what it sends is not the QuantMCU protocol"
            hint = "flash it with `quantmcu flash DIR`; check the baud rate, and close other programs on the port"
        else:
            what = "the device does not answer"
            hint = "press its reset button; check that the firmware is flashed and that this is the right port"
        return SilentError(what, self.where, why, hint)
