"""Finds the serial port that a board is connected to."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serial.tools import list_ports

from quantmcu.errors import ToolError
from quantmcu.targets import Board, UsbId


@dataclass(frozen=True)
class Port:
    """A serial port of a USB device.

    Attributes:
        device: what to open, such as /dev/ttyACM0 or COM3.
        usb: None for ports that are not on USB.
    """

    device: str
    description: str
    usb: UsbId | None
    serial_number: str

    def __str__(self) -> str:
        usb = f", USB {_usb_text(self.usb)}" if self.usb else ""
        number = f", serial number {self.serial_number}" if self.serial_number else ""
        return f"{self.device} ({self.description}{usb}{number})"


def list_serial_ports() -> list[Port]:
    """All serial ports of this machine, by name."""
    ports = [
        Port(
            info.device,
            info.description or "",
            None if info.vid is None else UsbId(info.vid, info.pid),
            info.serial_number or "",
        )
        for info in list_ports.comports()
    ]
    return sorted(ports, key=lambda port: port.device)


def find_port(board: Board, wanted: str | None = None) -> str:
    """The port to open: `wanted` where the user named one, else the only port with one of the board's USB ids.

    Raises:
        ToolError: no such board is connected, several are, or the port may not be opened by this user.
    """
    device = wanted if wanted is not None else _only_match(board).device
    check_permission(device, board.usb)
    return device


def check_permission(device: str, usb_ids: Sequence[UsbId] = ()) -> None:
    """Checks that this user may open the port. URLs and ports without a file (Windows) are not checked.

    Raises:
        ToolError: the port is not there, or not for this user.
    """
    if "://" in device or not device.startswith("/"):
        return
    if not Path(device).exists():
        raise ToolError("there is no such port", device, hint=f"connected are: {_listing(list_serial_ports())}")
    if not os.access(device, os.R_OK | os.W_OK):
        why = "it belongs to another user or group"
        raise ToolError("no permission to open the port", device, why, _udev_hint(usb_ids))


def _only_match(board: Board) -> Port:
    ports = list_serial_ports()
    matches = [port for port in ports if port.usb in board.usb]
    if len(matches) == 1:
        return matches[0]
    known = ", ".join(map(_usb_text, board.usb)) or "none known"
    if not matches:
        raise ToolError(
            "no such board is connected",
            board.id,
            f"its USB ids are {known}; connected are: {_listing(ports)}",
            "plug it in with a data cable, or name its port with --port; `--on emulator` needs no board",
        )
    raise ToolError(
        f"{len(matches)} boards fit", board.id, f"connected are: {_listing(matches)}", "choose one with --port"
    )


def _usb_text(usb: UsbId) -> str:
    return f"{usb.vid:04x}:{usb.pid:04x}"


def _listing(ports: Sequence[Port]) -> str:
    return "; ".join(str(port) for port in ports) or "no serial ports at all"


def _udev_hint(usb_ids: Sequence[UsbId]) -> str:
    if not sys.platform.startswith("linux"):
        return "close other programs that use it"
    rules = "\n".join(
        f'        SUBSYSTEM=="tty", ATTRS{{idVendor}}=="{usb.vid:04x}", ATTRS{{idProduct}}=="{usb.pid:04x}", '
        'MODE="0660", TAG+="uaccess"'
        for usb in usb_ids
    )
    group = "join the port's group (`sudo usermod -aG dialout $USER`, then log in again)"
    if not rules:
        return group
    return (
        f"{group}, or write these rules to /etc/udev/rules.d/60-quantmcu.rules:\n{rules}\n"
        "        then run `sudo udevadm control --reload && sudo udevadm trigger`"
    )
