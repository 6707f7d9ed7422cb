"""The firmware harness with the fake network, built once, and sessions with it over a pseudo-terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import fake_network
import pytest

from quantmcu.build.host import build_native_harness
from quantmcu.build.host_compiler import SANITIZE, HostCompiler, find_host_compiler, find_sanitizing_compiler
from quantmcu.device import DeviceSession
from quantmcu.errors import ToolError
from tests.once import made_once

if sys.platform == "win32":
    collect_ignore_glob = ["test_*.py"]  # no pseudo-terminals
else:
    from native_device import NativeDevice

STRICT = ("-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")
TALL = 300  # pixels rows: inputs and outputs of several chunks


def _harness(height: int, compiler: HostCompiler, flags: Sequence[str]) -> Path:
    def make(folder: Path) -> None:
        build_native_harness(fake_network.files(height), folder, compiler, [*STRICT, *flags])

    return made_once(f"harness {height} {flags}", make) / "harness"


def _checked_harness(height: int) -> Path:
    """Under sanitizers where there are any."""
    try:
        return _harness(height, find_sanitizing_compiler(), SANITIZE)
    except ToolError:
        return _harness(height, find_host_compiler(), ())


@pytest.fixture(scope="session")
def harness() -> Path:
    """The program, under sanitizers where there are any."""
    return _checked_harness(2)


@pytest.fixture(scope="session")
def tall_harness() -> Path:
    """The same with tensors of several chunks."""
    return _checked_harness(TALL)


@pytest.fixture(scope="session")
def plain_harness() -> Path:
    """The same without sanitizers, which would take faults for themselves."""
    return _harness(2, find_host_compiler(), ("-O1",))


@pytest.fixture
def device(harness: Path) -> Iterator[NativeDevice]:
    device = NativeDevice(harness)
    yield device
    device.close()


@pytest.fixture
def tall_device(tall_harness: Path) -> Iterator[NativeDevice]:
    device = NativeDevice(tall_harness)
    yield device
    device.close()


@pytest.fixture
def plain_device(plain_harness: Path) -> Iterator[NativeDevice]:
    device = NativeDevice(plain_harness)
    yield device
    device.close()


@pytest.fixture
def session(device: NativeDevice) -> Iterator[DeviceSession]:
    with DeviceSession.open_port(device.port) as session:
        yield session
