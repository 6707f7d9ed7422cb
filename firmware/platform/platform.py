"""PlatformIO development platform for QuantMCU firmware: no framework; works with and without PlatformIO's registry.

The compiler is one of this machine (toolchains.py), else PlatformIO's own package. SCons is PlatformIO's package
where that is installed, else the one from PyPI.
"""

import importlib.util
import json
import os
import re
import shutil
import sys
from pathlib import Path

from platformio.dependencies import get_core_dependencies
from platformio.exception import UserSideException
from platformio.package.manager.core import get_core_package_dir
from platformio.platform.base import PlatformBase

HERE = Path(__file__).resolve().parent
REGISTRY_GCC = "toolchain-gccarmnoneeabi"
UPLOAD_TOOLS = {
    "stlink": "tool-openocd",
    "cmsis-dap": "tool-openocd",
    "sam-ba": "tool-bossac-nordicnrf52",
    "dfu": "tool-dfuutil-arduino",
}


def _load(name):
    """The module of this folder's file `name`.py; by path, since several projects may bring a copy each."""
    specification = importlib.util.spec_from_file_location(f"quantmcu_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


toolchains = _load("toolchains")


class QuantmcuPlatform(PlatformBase):
    """`toolchain`: the compiler found on this machine, or None for PlatformIO's package."""

    toolchain = None

    def configure_default_packages(self, options, targets):
        try:
            self.toolchain = toolchains.find_toolchain()
        except toolchains.ToolchainNotFoundError as error:
            raise UserSideException(f"{toolchains.VARIABLE}: {error}") from error
        self.packages[REGISTRY_GCC]["optional"] = self.toolchain is not None
        if self.toolchain is None and not self.get_package(REGISTRY_GCC):
            print(
                f"quantmcu: neither {toolchains.GCC} nor zig is installed (pip install ziglang): "
                "asking PlatformIO's registry for a compiler"
            )
        super().configure_default_packages(options, targets)
        self._provide_scons()
        self._choose_uploader(options, targets)

    def _choose_uploader(self, options, targets):
        """Only the tool that the upload needs: the base class makes every uploader mandatory."""
        protocol = os.environ.get("QUANTMCU_UPLOAD_PROTOCOL") or options.get("upload_protocol")
        if not protocol and options.get("board"):
            protocol = self.board_config(options["board"]).get("upload.protocol", "")
        installed = {
            "tool-openocd": shutil.which("openocd") or _importable("openocd_esp32") or _importable("pyocd"),
            "tool-bossac-nordicnrf52": shutil.which("bossac"),
            "tool-dfuutil-arduino": shutil.which("dfu-util"),
        }
        for tool, found in installed.items():
            needed = "upload" in (targets or []) and UPLOAD_TOOLS.get(protocol) == tool and not found
            self.packages[tool]["optional"] = not needed

    def _provide_scons(self):
        """Gives PlatformIO this Python's SCons where its own package tool-scons is missing.

        The package lies under the core folder and is linked by the documented form `symlink://`.
        """
        if get_core_package_dir("tool-scons", auto_install=False):
            return
        scons = importlib.util.find_spec("SCons")
        if scons is None:
            return  # PlatformIO downloads its own
        version = re.search(r"\d+\.\d+\.\d+", get_core_dependencies()["tool-scons"]).group()
        package = {"name": "tool-scons", "version": version, "description": "SCons from PyPI", "license": "MIT"}
        launcher = (
            "import sys\n"
            f"sys.path.append({str(Path(scons.origin).parent.parent)!r})\n"
            "import SCons.Script\n"
            "SCons.Script.main()\n"
        )
        folder = Path(self.config.get("platformio", "core_dir")) / "quantmcu" / "tool-scons"
        _write(folder / "package.json", json.dumps(package))
        _write(folder / "scons.py", launcher)
        self.packages["tool-scons"].update(version=f"symlink://{folder}", optional=False)

    @staticmethod
    def openocd_arguments(board, probe):
        """Arguments that connect OpenOCD to the board.

        The ST-LINK's own script selects its transport, whose name differs between versions of OpenOCD.
        """
        transport = [] if probe == "stlink" else ["-c", "transport select swd"]
        return ["-f", f"interface/{probe}.cfg", *transport, "-f", f"target/{board.get('debug.openocd_target')}.cfg"]

    def get_boards(self, id_=None):
        boards = super().get_boards(id_)
        for board in [boards] if id_ else boards.values():
            self._add_debug_tools(board)
        return boards

    def _add_debug_tools(self, board):
        """OpenOCD servers for `pio debug`, for the probes among the board's upload protocols."""
        debug = board.manifest.setdefault("debug", {})
        tools = debug.setdefault("tools", {})
        for probe in ("stlink", "cmsis-dap"):
            if probe in board.get("upload.protocols", []) and probe not in tools:
                tools[probe] = {
                    "server": {"executable": "openocd", "arguments": self.openocd_arguments(board, probe)},
                    "onboard": probe in debug.get("onboard_tools", []),
                    "default": probe in debug.get("default_tools", []),
                }


def _importable(module):
    """Whether this Python has `module`."""
    return importlib.util.find_spec(module) is not None


def _write(path, text):
    """Writes the file in one step: other builds may be reading it."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
