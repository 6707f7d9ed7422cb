"""Opens what runs a compiled network: the host's C build, the emulator, QEMU or a board."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from quantmcu.build.harness import EEMBC_CONFIG
from quantmcu.build.host import HostModel
from quantmcu.device import DeviceSession
from quantmcu.emulator import Emulator
from quantmcu.emulator.qemu import start_qemu
from quantmcu.emulator.transport import EmulatorTransport
from quantmcu.errors import UsageError
from quantmcu.results import Result
from quantmcu.runner import Runner

Place = Literal["host", "emulator", "qemu", "device"]
PLACES: tuple[Place, ...] = get_args(Place)

_AGAIN = "compile the model again"

EMULATED_RUN_SECONDS = 900.0
"""An emulated run takes as long as the host needs for it; this only ends one that hangs."""


def open_runner(result: Result, on: str, port: str | None = None) -> Runner:
    """What runs the network of `result`; close it afterwards.

    Args:
        result: a compiled and, unless on the host, built network.
        on: one of PLACES.
        port: serial port of the board; None: found by its USB identity.

    Raises:
        UsageError: no such place, or the firmware was not built.
        ToolError: no compiler, no QEMU, no board, or the firmware does not answer.
    """
    if on != "host":
        return open_session(result, on, port)
    host = HostModel(result.folder / "src" / "model")
    if host.info.model_sha256 != result.program_sha256:
        host.close()
        raise UsageError("src/model/ is of another network than result.json", str(result.folder), hint=_AGAIN)
    return host


def open_session(result: Result, on: str, port: str | None = None, *, memory_model: bool = False) -> DeviceSession:
    """A conversation with the firmware of `result`; refuses a device that runs another model.

    `memory_model` adds the board's wait states and caches to the emulator's cycles.

    Raises:
        UsageError, ToolError: as `open_runner`.
    """
    openers: dict[str, Callable[[], DeviceSession]] = {
        "emulator": lambda: _emulated(result, memory_model),
        "qemu": lambda: _in_qemu(result),
        "device": lambda: DeviceSession.open_board(result.board, port, result.program_sha256),
    }
    if on not in openers:
        raise UsageError(f"{on!r} is no place to run firmware on", "--on", f"known are {', '.join(openers)}")
    if (result.folder / "src" / "harness" / EEMBC_CONFIG).is_file():
        raise UsageError(
            "this firmware speaks the protocol of the MLPerf Tiny runner",
            str(result.folder),
            "it was compiled with --harness eembc",
            "compile it again without, or run it with that runner",
        )
    if port is not None and on != "device":
        raise UsageError("a port was given, but not to a device", "--port", hint="add --on device")
    if memory_model and on != "emulator":
        raise UsageError("only the emulator has a memory model", "--memory-model", f"asked to measure on: {on}")
    session = openers[on]()
    try:
        session.identify()
    except BaseException:
        session.close()
        raise
    return session


def _emulated(result: Result, memory_model: bool) -> DeviceSession:
    emulator = Emulator(result.elf, result.board, memory_model="board" if memory_model else None)
    transport = EmulatorTransport(emulator)
    return DeviceSession(transport, "emulator", result.program_sha256, run_timeout=EMULATED_RUN_SECONDS)


def _in_qemu(result: Result) -> DeviceSession:
    transport = start_qemu(result.elf, result.board)
    return DeviceSession(transport, "QEMU", result.program_sha256, run_timeout=EMULATED_RUN_SECONDS)
