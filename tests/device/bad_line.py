"""A board behind a serial line that can be damaged: emulator, pseudo-terminal, proxy, pseudo-terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import random
import select
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from quantmcu.emulator import Emulator
from quantmcu.emulator.transport import EmulatorPty
from quantmcu.results import Result

_POLL_SECONDS = 0.05


@dataclass
class Damage:
    """What the line does to the bytes, in either direction; it may be changed while the line is in use.

    Attributes:
        lost, doubled, flipped: probability for each byte.
        lost_bursts: probability for each burst (a frame or a part of one) to get lost as a whole.
        done: how often anything was done.
    """

    seed: int = 0
    lost: float = 0.0
    doubled: float = 0.0
    flipped: float = 0.0
    lost_bursts: float = 0.0
    done: int = 0
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def apply(self, data: bytes) -> bytes:
        """What arrives."""
        if self._random.random() < self.lost_bursts:
            self.done += 1
            return b""
        out = bytearray()
        for byte in data:
            chance = self._random.random()
            for kind, probability in ((0, self.lost), (1, self.doubled), (2, self.flipped)):
                if chance < probability:
                    self.done += 1
                    out += (b"", bytes((byte, byte)), bytes((byte ^ 1 << self._random.randrange(8),)))[kind]
                    break
                chance -= probability
            else:
                out.append(byte)
        return bytes(out)


class Board:
    """An emulated board that runs in a thread of its own.

    Attributes:
        port: what a host opens.
        damage: of its line.
        resets: how often it was reset.
    """

    def __init__(self, result: Result, damage: Damage) -> None:
        self.damage = damage
        self.resets = 0
        self.bursts_to_the_board = 0
        self.reset_after: int | None = None  # bursts from the host until the reset button is pressed; then again
        self.unplugged = False
        self._stalled = False
        self._done = threading.Event()
        self._reset_wanted = threading.Event()
        self._emulator = Emulator(result.elf, result.board)
        self._board = EmulatorPty(self._emulator)
        self._inner = os.open(self._board.path, os.O_RDWR | os.O_NOCTTY)
        self._outer, self._terminal = pty.openpty()
        tty.setraw(self._terminal)
        self.port = os.ttyname(self._terminal)
        serve = threading.Thread(target=self._board.serve, args=(self._asked_to_stop,), daemon=True)
        carry = threading.Thread(target=self._carry, daemon=True)
        self._threads = [serve, carry]
        for thread in self._threads:
            thread.start()

    def reset(self) -> None:
        """Presses the reset button."""
        self._reset_wanted.set()

    def stall(self) -> None:
        """The board takes no more instructions, and says nothing."""
        self._stalled = True

    def go_on(self) -> None:
        """After `stall`."""
        self._stalled = False

    def unplug(self) -> None:
        """The serial port vanishes."""
        self.unplugged = True
        for descriptor in (self._terminal, self._outer):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def close(self) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(10)
        self._board.close()
        os.close(self._inner)
        if not self.unplugged:
            self.unplug()

    def _asked_to_stop(self) -> bool:
        """Called by the board's own thread between its slices."""
        while self._stalled and not self._done.is_set():
            self._done.wait(_POLL_SECONDS)
        if self._reset_wanted.is_set():
            self._reset_wanted.clear()
            self._emulator.reset()
            self.resets += 1
        return self._done.is_set()

    def _carry(self) -> None:
        while not self._done.is_set():
            try:
                ready, _, _ = select.select([self._outer, self._inner], [], [], _POLL_SECONDS)
                for descriptor in ready:
                    data = self.damage.apply(os.read(descriptor, 65536))
                    if descriptor == self._outer:
                        self._count_burst()
                        os.write(self._inner, data)
                    else:
                        os.write(self._outer, data)
            except (OSError, ValueError):
                if not self.unplugged:
                    raise
                return

    def _count_burst(self) -> None:
        self.bursts_to_the_board += 1
        if self.reset_after is not None and self.bursts_to_the_board % self.reset_after == 0:
            self.reset()


@contextmanager
def plugged_in(result: Result, **damage: float) -> Iterator[Board]:
    """The result's firmware on a board; `damage` as in `Damage`."""
    board = Board(result, Damage(**damage))
    try:
        yield board
    finally:
        board.close()


__all__ = ["Board", "Damage", "plugged_in"]
