"""Requests about the machine that runs the firmware: memory marks, faults, the line, reset."""

from __future__ import annotations

from quantmcu.device.conversation import Conversation
from quantmcu.device.fault import FaultRecord
from quantmcu.device.line import RefusedError, RestartedError
from quantmcu.device.protocol import CHUNK_BYTES, Counters, FrameType, Marks
from quantmcu.errors import ToolError


class Machine(Conversation):
    """What a device says of itself, whatever network it runs; every method may raise ToolError."""

    def marks(self) -> Marks:
        """Stack and arena use."""
        return self._parsed(Marks.parse, self._ask_state(FrameType.MARKS))

    def fault(self) -> FaultRecord | None:
        """The last fault that the device recorded, kept over a reset; None when there is none."""
        return self._parsed(FaultRecord.parse, self._ask_state(FrameType.READ_FAULT))

    def clear_fault(self) -> None:
        """Makes the device forget its last fault."""
        self._ask_state(FrameType.CLEAR_FAULT)

    def counters(self) -> Counters:
        """Frames that the device received and dropped since its reset."""
        return self._parsed(Counters.parse, self._ask_state(FrameType.COUNTERS))

    def echo(self, data: bytes) -> None:
        """Sends `data` (at most 1024 bytes) there and back.

        Raises:
            ToolError: it does not come back.
        """
        if self._ask_state(FrameType.ECHO, data[:CHUNK_BYTES]) != data[:CHUNK_BYTES]:
            raise ToolError("the device's echo differs from what was sent", self._where)

    def reset(self, boot_seconds: float = 5.0) -> None:
        """Resets the device and waits until it greets or answers again.

        Raises:
            ToolError: it does not come back.
        """
        try:
            self._line.ask(FrameType.RESET)
        except RestartedError:
            return  # the answer was lost, the greeting came
        except RefusedError as error:
            raise self._refusal(error) from error
        if self._line.wait_for_greeting(boot_seconds) is None:
            self._line.ask(FrameType.ECHO, over_restart=True)

    def _raise_fault(self) -> None:
        fault = self.fault()
        if fault is not None:
            self.clear_fault()
            raise ToolError(
                "the firmware crashed",
                self._where,
                fault.describe(),
                f"find the code with: arm-none-eabi-addr2line -e firmware.elf 0x{fault.pc:08x}",
            )
