"""Checks that the tool that flashes is there, before PlatformIO looks for it in its registry for a minute."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass

from quantmcu.build.toolchain import platformio_package_installed, registry_reachable
from quantmcu.errors import ToolError


@dataclass(frozen=True)
class _Uploader:
    """What can flash with a protocol: a program on PATH, Python modules, PlatformIO's package; any one is enough."""

    program: str | None
    modules: tuple[str, ...]
    package: str | None
    hint: str


_PROBE_HINT = "`pip install openocd-esp32` (an OpenOCD with ST-LINK) or `pip install pyocd`: neither needs root rights"
_UPLOADERS = {
    "stlink": _Uploader("openocd", ("openocd_esp32", "pyocd"), "tool-openocd", _PROBE_HINT),
    "cmsis-dap": _Uploader("openocd", ("openocd_esp32", "pyocd"), "tool-openocd", _PROBE_HINT),
    "pyocd": _Uploader(None, ("pyocd",), None, "`pip install pyocd`"),
    "sam-ba": _Uploader("bossac", (), "tool-bossac-nordicnrf52", "install Arduino's bossac 1.9 and put it on PATH"),
    "dfu": _Uploader("dfu-util", (), "tool-dfuutil-arduino", "install dfu-util (Debian: apt install dfu-util)"),
}

#: For whom a tool is, in `quantmcu doctor`.
BOARDS_OF_TOOL = {
    "stlink": "ST boards (or copy to the board's disk: --protocol mbed)",
    "sam-ba": "Arduino Nano 33 BLE",
    "dfu": "Arduino Portenta H7",
    "uf2": "Raspberry Pi Pico: copies a file to its disk",
}


def installed_uploader(protocol: str) -> str | None:
    """What would flash with `protocol`: a path, `python -m ...` or a package; None where nothing is installed.

    `mbed`, `uf2` and `custom` need no tool: those copy a file, the last is the user's.
    """
    uploader = _UPLOADERS.get(protocol)
    if uploader is None:
        return protocol
    if uploader.program and (path := shutil.which(uploader.program)):
        return path
    if uploader.package and platformio_package_installed(uploader.package):
        return uploader.package
    return next((f"python -m {module}" for module in uploader.modules if importlib.util.find_spec(module)), None)


def uploader_hint(protocol: str) -> str:
    """How to get a tool for `protocol`."""
    return _UPLOADERS[protocol].hint if protocol in _UPLOADERS else ""


def require_uploader(protocol: str) -> None:
    """Returns when a tool is there or PlatformIO can download it.

    Raises:
        ToolError: neither; names what was looked for.
    """
    if installed_uploader(protocol) is not None:
        return
    uploader = _UPLOADERS[protocol]
    if uploader.package and registry_reachable():
        return
    looked = [
        f"{uploader.program} on PATH" if uploader.program else "",
        *(f"the Python module {module}" for module in uploader.modules),
        f"PlatformIO's {uploader.package} (its registry does not answer)" if uploader.package else "",
    ]
    raise ToolError(
        "no tool to flash the board",
        where=f"upload protocol {protocol}",
        why=f"looked for {', '.join(text for text in looked if text)}",
        hint=uploader.hint,
    )
