"""Data of any length in requests of limited length."""

from __future__ import annotations

from collections.abc import Callable

from quantmcu.device.line import Line, SilentError
from quantmcu.device.protocol import CHUNK_BYTES, FrameType

SMALLEST_CHUNK = 64


class ChunkedTransfer:
    """Chunks become smaller on a bad line, since short frames get through more often; larger again on a good one."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._chunk = CHUNK_BYTES

    def run(self, request: FrameType, total: int, payload: Callable[[int, int], bytes]) -> bytes:
        """Asks chunk by chunk for `total` bytes, with payload(offset, size); returns the answers in a row.

        Raises:
            SilentError, RefusedError, RestartedError: as `Line.ask`.
        """
        answers = b""
        offset = 0
        while offset < total:
            size = min(self._chunk, total - offset)
            smallest = size <= SMALLEST_CHUNK
            resent = self._line.resent
            try:
                answers += self._line.ask(request, payload(offset, size), attempts=None if smallest else 2)
            except SilentError:
                if smallest:
                    raise
                self._chunk = max(SMALLEST_CHUNK, size // 4)
                continue
            offset += size
            bad_line = self._line.resent > resent
            self._chunk = max(SMALLEST_CHUNK, size // 2) if bad_line else min(CHUNK_BYTES, self._chunk + SMALLEST_CHUNK)
        return answers
