"""The console UART: bytes in, bytes out, without waiting for a baud rate."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from unicorn.unicorn_py3.unicorn import Uc, uclib

from quantmcu.emulator import hook
from quantmcu.errors import ToolError, UsageError

PAGE_BYTES = 4096
_SEND_BUFFER_BYTES = 1 << 19
# Looks at an empty receiver before the emulation stops. Firmware that waits for input looks again at once; one that
# computes between two looks still sees its input late by no more than this.
_IDLE_POLLS = 64
_NO_REGISTER = 0xFFFFFFFF


@dataclass(frozen=True)
class ConsoleKind:
    """Offsets of a UART's registers, and their bits for "room to send" (always) and "byte received".

    Attributes:
        empty: bits that say "nothing received" in place of that.
    """

    receive_status: int
    received: int
    send_status: int
    can_send: int
    receive: int
    send: int
    empty: int = 0


KINDS = {
    # RM0383, section 19.6: SR with RXNE, TC, TXE; DR
    "stm32-v1": ConsoleKind(0x00, 1 << 5, 0x00, 3 << 6, 0x04, 0x04),
    # RM0410, section 34.8: ISR with RXNE, TC, TXE; RDR, TDR
    "stm32-v2": ConsoleKind(0x1C, 1 << 5, 0x1C, 3 << 6, 0x24, 0x28),
    # nRF52840 Product Specification, section 6.33: events RXDRDY and TXDRDY; RXD, TXD
    "nrf52": ConsoleKind(0x108, 1, 0x11C, 1, 0x518, 0x51C),
    # Arm DDI 0479, section 4.3: STATE with RX full, and TX full, which never is; DATA
    "cmsdk": ConsoleKind(0x04, 1 << 1, 0x04, 0, 0x00, 0x00),
    # Arm DDI 0183, section 3.3: FR with RXFE, and TXFF and BUSY, which never are; DR
    "pl011": ConsoleKind(0x18, 1 << 4, 0x18, 0, 0x00, 0x00, empty=1 << 4),
}


class Console:
    """The UART at `base` of an engine, and the registers that share its page of 4 KiB.

    Args:
        engine: the engine to map the page in.
        kind: one of `KINDS`.
        base: address of the UART.
        read_other: reads the register at an address (with its size in bytes) that is not the UART's.
        write_other: writes one.
        stop_request_address: a word to set when the engine shall stop (`BlockCounter.stop_request_address`).

    Raises:
        UsageError: the kind is unknown.
    """

    def __init__(
        self,
        engine: Uc,
        kind: str,
        base: int,
        read_other: Callable[[int, int], int],
        write_other: Callable[[int, int, int], None],
        stop_request_address: int,
    ) -> None:
        if kind not in KINDS:
            raise UsageError(f"the emulator has no console of kind {kind}", why=f"kinds: {', '.join(KINDS)}")
        self.page = base & ~(PAGE_BYTES - 1)
        self._unread = bytearray()
        self._received = np.zeros(0, np.uint8)
        self._sent = np.zeros(_SEND_BUFFER_BYTES, np.uint8)
        page = self.page
        self._read_other = hook.READ_REGISTER(lambda offset, size: read_other(page + offset, size))
        self._write_other = hook.WRITE_REGISTER(lambda offset, size, value: write_other(page + offset, size, value))
        self._state = hook.ConsoleState(
            read_other=self._read_other,
            write_other=self._write_other,
            stop_requested=stop_request_address,
            sent=self._sent.ctypes.data,
            sent_size=len(self._sent),
            status=_status_registers(KINDS[kind], base - page),
            receive_offset=base - page + KINDS[kind].receive,
            send_offset=base - page + KINDS[kind].send,
            idle_poll_limit=_IDLE_POLLS,
        )
        self._map(engine)

    def write(self, data: bytes) -> None:
        """Queues bytes for the firmware to receive. Not while the engine runs."""
        waiting = self._received[self._state.received_next :].tobytes()
        self._received = np.frombuffer(waiting + data, np.uint8)
        self._state.received = self._received.ctypes.data
        self._state.received_next = 0
        self._state.received_end = len(self._received)

    def read(self, maximum: int | None = None) -> bytes:
        """Takes what the firmware has sent and nobody has read yet, at most `maximum` bytes."""
        self._collect()
        size = len(self._unread) if maximum is None else maximum
        taken = bytes(self._unread[:size])
        del self._unread[:size]
        return taken

    @property
    def has_output(self) -> bool:
        """Whether the firmware has sent bytes that nobody has read."""
        return bool(self._unread) or self._state.sent_end > 0

    @property
    def has_input(self) -> bool:
        """Whether bytes wait for the firmware."""
        return bool(self._state.received_next < self._state.received_end)

    @property
    def idle(self) -> bool:
        """Whether the last run stopped because the firmware waits for input that is not there."""
        return bool(self._state.idle)

    @property
    def output_full(self) -> bool:
        """Whether the last run stopped because the firmware has sent much that nobody has read."""
        return bool(self._state.sent_full)

    def prepare_run(self) -> None:
        """To be called before the engine starts."""
        self._collect()
        self._state.idle = 0
        self._state.sent_full = 0

    def discard_input(self) -> None:
        """Forgets bytes that the firmware has not received, as a reset of the chip does."""
        self._state.received_next = self._state.received_end

    def _collect(self) -> None:
        self._unread += self._sent[: self._state.sent_end].tobytes()
        self._state.sent_end = 0

    def _map(self, engine: Uc) -> None:
        state = ctypes.cast(ctypes.byref(self._state), ctypes.c_void_p)
        addresses = hook.callback_addresses()
        status = uclib.uc_mmio_map(
            engine._uch,
            ctypes.c_uint64(self.page),
            ctypes.c_size_t(PAGE_BYTES),
            ctypes.c_void_p(addresses["console_read"]),
            state,
            ctypes.c_void_p(addresses["console_write"]),
            state,
        )
        if status != 0:
            raise ToolError("Unicorn does not accept the console", why=f"uc_mmio_map returned {status}")


def _status_registers(kind: ConsoleKind, base_offset: int) -> ctypes.Array[hook.ConsoleStatus]:
    receive = hook.ConsoleStatus(base_offset + kind.receive_status, kind.empty, kind.received)
    send = hook.ConsoleStatus(_NO_REGISTER, 0, 0)
    if kind.send_status == kind.receive_status:
        receive.always |= kind.can_send
    else:
        send = hook.ConsoleStatus(base_offset + kind.send_status, kind.can_send, 0)
    return (hook.ConsoleStatus * 2)(receive, send)
