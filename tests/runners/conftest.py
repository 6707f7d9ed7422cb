"""The firmware harness with the fake network, built once, and sessions with it over a pseudo-terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import fake_network
import pytest

from quantmcu.build.host import build_native_harness
from quantmcu.build.host_compiler import SANITIZE, find_host_compiler, find_sanitizing_compiler
from quantmcu.device import DeviceSession
from quantmcu.errors import ToolError

if sys.platform == "win32":
    collect_ignore_glob = ["test_*.py"]  # no pseudo-terminals
else:
    from native_device import NativeDevice

STRICT = ("-O1", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")
TALL = 300  # pixels rows: inputs and outputs of several chunks


def _harness(folder: Path, height: int) -> Path:
    try:
        compiler, sanitize = find_sanitizing_compiler(), SANITIZE
    except ToolError:
        compiler, sanitize = find_host_compiler(), ()
    return build_native_harness(fake_network.files(height), folder, compiler, [*STRICT, *sanitize])


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, under sanitizers where there are any."""
    return _harness(tmp_path_factory.mktemp("harness"), 2)


@pytest.fixture(scope="session")
def tall_harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with tensors of several chunks."""
    return _harness(tmp_path_factory.mktemp("tall"), TALL)


@pytest.fixture(scope="session")
def plain_harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without sanitizers, which would take faults for themselves."""
    folder = tmp_path_factory.mktemp("plain")
    return build_native_harness(fake_network.files(), folder, find_host_compiler(), STRICT)


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
