"""What all requests to a device have in common: a line, and errors that say what went wrong with which device."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from quantmcu.device.line import Line, RefusedError
from quantmcu.device.protocol import FrameType, MalformedAnswerError
from quantmcu.errors import ToolError

T = TypeVar("T")


class Conversation:
    """Requests over a line; `where` names the device in messages."""

    def __init__(self, line: Line, where: str) -> None:
        self._line = line
        self._where = where

    def _parsed(self, parse: Callable[[bytes], T], payload: bytes) -> T:
        try:
            return parse(payload)
        except MalformedAnswerError as error:
            raise ToolError(
                "the firmware's answer cannot be understood",
                self._where,
                str(error),
                "compile and flash again with this version of quantmcu",
            ) from error

    def _refusal(self, error: RefusedError) -> ToolError:
        return ToolError(
            "the firmware refused a request",
            self._where,
            str(error),
            "compile and flash again with this version of quantmcu",
        )

    def _ask_state(self, request: FrameType, payload: bytes = b"") -> bytes:
        try:
            return self._line.ask(request, payload, over_restart=True)
        except RefusedError as error:
            raise self._refusal(error) from error
