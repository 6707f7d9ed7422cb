"""Devices that run QuantMCU firmware: ports, the serial protocol, sessions."""

from quantmcu.device.fault import FaultRecord
from quantmcu.device.ports import Port, find_port, list_serial_ports
from quantmcu.device.protocol import Counters, Identity, Marks
from quantmcu.device.session import DeviceSession
from quantmcu.device.times import Profile, RunTimes
from quantmcu.device.transport import ProcessTransport, SerialTransport, Transport

__all__ = [
    "Counters",
    "DeviceSession",
    "FaultRecord",
    "Identity",
    "Marks",
    "Port",
    "ProcessTransport",
    "Profile",
    "RunTimes",
    "SerialTransport",
    "Transport",
    "find_port",
    "list_serial_ports",
]
