"""Finding compilers and upload tools, and what a user reads when there is none."""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path

import pytest

from quantmcu.build import BuildResult, build_project, flash_project, toolchain, uploader
from quantmcu.build.doctor import diagnose
from quantmcu.emulator.objects import compile_for_core
from quantmcu.errors import ExitStatus, ToolError, UsageError
from quantmcu.targets import load_board
from tests.build.conftest import Build
from tests.build.tiny_network import write_tiny

F767 = load_board("nucleo-f767")
COMPILER = "gcc" if shutil.which("arm-none-eabi-gcc") else "zig"


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7", "cortex-m33"])
def test_zig_compiles_dsp_instructions_as_such(core: str) -> None:
    """Without the feature the kernels would quietly emulate them, several times as slow."""
    source = "#if !defined(__ARM_FEATURE_DSP)\n#error none\n#endif\nint f(void) { return 1; }"
    assert compile_for_core([source], core, compiler="zig")


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No compiler, no upload tool, no network."""
    search = toolchain._search()
    monkeypatch.setattr(search, "find_gcc", lambda: None)
    monkeypatch.setattr(search, "find_zig", lambda: None)
    for module in (toolchain, uploader):
        monkeypatch.setattr(module, "registry_reachable", lambda: False)
        monkeypatch.setattr(module, "platformio_package_installed", lambda name: False)
    monkeypatch.setattr(uploader.shutil, "which", lambda name: None)
    monkeypatch.setattr(uploader.importlib.util, "find_spec", lambda name: None)
    monkeypatch.delenv("QUANTMCU_TOOLCHAIN", raising=False)


@pytest.mark.usefixtures("bare_machine")
def test_no_compiler(tmp_path: Path) -> None:
    with pytest.raises(ToolError) as caught:
        build_project(write_tiny(tmp_path, F767), F767)
    error = caught.value
    assert error.status == ExitStatus.TOOLS
    assert error.what == "no C compiler for Arm found"
    for looked in (
        "arm-none-eabi-gcc on PATH",
        "the Python package ziglang",
        "zig on PATH",
        "toolchain-gccarmnoneeabi",
    ):
        assert looked in error.why
    assert "`pip install quantmcu[zig]`" in error.hint


@pytest.mark.usefixtures("bare_machine")
@pytest.mark.parametrize(
    ("choice", "why"),
    [
        ("zig", "the compiler 'zig' is not there (looked for the Python package ziglang, and zig on PATH)"),
        ("gcc", "the compiler 'gcc' is not there (looked for arm-none-eabi-gcc on PATH)"),
        ("/nowhere", "the compiler '/nowhere' is not there (looked for arm-none-eabi-gcc or zig at /nowhere"),
    ],
)
def test_a_chosen_compiler_that_is_missing_is_no_other(choice: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        toolchain.find_toolchain(choice)
    assert why in caught.value.what


@pytest.mark.gcc
def test_toolchain_by_path(monkeypatch: pytest.MonkeyPatch) -> None:
    path = shutil.which("arm-none-eabi-gcc")
    assert path is not None
    for choice in (path, str(Path(path).parent), str(Path(path).parent.parent)):
        found = toolchain.find_toolchain(choice)
        assert found is not None
        assert (found.kind, found.path) == ("gcc", path)
    monkeypatch.setenv("QUANTMCU_TOOLCHAIN", str(Path(path).parent))
    assert toolchain.find_toolchain() == found


def test_compiler_that_does_not_run(tmp_path: Path) -> None:
    broken = tmp_path / "arm-none-eabi-gcc"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(ToolError, match="the compiler does not run") as caught:
        toolchain.find_toolchain(str(tmp_path))
    assert caught.value.where == str(broken)


@pytest.mark.usefixtures("bare_machine")
def test_no_upload_tool_is_said_at_once(tmp_path: Path) -> None:
    for name in ("firmware.elf", "firmware.bin"):
        (tmp_path / name).touch()
    with pytest.raises(ToolError) as caught:
        flash_project(tmp_path, F767)
    error = caught.value
    assert (error.what, error.where) == ("no tool to flash the board", "upload protocol stlink")
    assert "openocd on PATH, the Python module openocd_esp32, the Python module pyocd" in error.why
    assert "`pip install openocd-esp32`" in error.hint


def test_flashing_what_is_not_built(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no firmware.elf here"):
        flash_project(write_tiny(tmp_path, F767), F767)


def test_flashing_an_emulated_board(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="this board exists only in emulators"):
        flash_project(tmp_path, load_board("qemu-m7"))


def test_unknown_protocol(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        flash_project(tmp_path, F767, protocol="telepathy")
    assert "unknown upload protocol 'telepathy'" in str(caught.value)
    assert "stlink, cmsis-dap, mbed, pyocd, custom" in caught.value.why


def copy_of(result: BuildResult, folder: Path) -> Path:
    """The project of a build that other tests share, for flashing, which works in the project's folder."""
    return Path(shutil.copytree(result.elf.parent, folder / "project"))


def test_flashing_to_a_disk_copies_the_very_firmware(build: Build, tmp_path: Path) -> None:
    """The `mbed` protocol, with a folder in the disk's place: the upload runs through pio, without a rebuild."""
    project = copy_of(build("nucleo-f767", "zig"), tmp_path)
    marked = (project / "firmware.bin").read_bytes() + b"this very file"
    (project / "firmware.bin").write_bytes(marked)
    disk = tmp_path / "disk"
    disk.mkdir()
    flash_project(project, F767, protocol="mbed", port=str(disk))
    assert (disk / "firmware.bin").read_bytes() == marked


def test_flashing_by_uf2(build: Build, tmp_path: Path) -> None:
    """RP2040, with a folder in its disk's place: all blocks together are the image, at the flash's address."""
    project = copy_of(build("pico", COMPILER), tmp_path)
    disk = tmp_path / "disk"
    disk.mkdir()
    with pytest.raises(ToolError, match="no board found") as caught:
        flash_project(project, load_board("pico"), port=str(disk))
    assert "BOOTSEL" in caught.value.hint
    (disk / "INFO_UF2.TXT").write_text("UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n")
    flash_project(project, load_board("pico"), port=str(disk))
    blocks = (disk / "firmware.uf2").read_bytes()
    image = (project / "firmware.bin").read_bytes()
    count = -(-len(image) // 256)
    assert len(blocks) == 512 * count
    flashed = b""
    for number in range(count):
        block = blocks[512 * number : 512 * (number + 1)]
        *magic, flags, address, size, index, total, family = struct.unpack("<8I", block[:32])
        assert magic == [0x0A324655, 0x9E5D5157]
        assert block[-4:] == struct.pack("<I", 0x0AB16F30)
        assert (flags, size, index, total, family) == (0x2000, 256, number, count, 0xE48BFF56)
        assert address == 0x10000000 + 256 * number
        flashed += block[32:288]
    assert flashed[: len(image)] == image


def test_flashing_by_dfu(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Portenta, with a stand-in for dfu-util on PATH that writes down its arguments."""
    called = tmp_path / "called"
    tool = tmp_path / "bin" / "dfu-util"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\necho "$@" > {called}\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)
    project = copy_of(build("portenta-h7", COMPILER), tmp_path)
    flash_project(project, load_board("portenta-h7"))
    assert called.read_text().startswith("--device 2341:035b -a 0 --dfuse-address 0x08040000:leave -D ")
    assert called.read_text().rstrip().endswith("firmware.bin")


def test_flashing_to_a_disk_that_is_not_there(build: Build, tmp_path: Path) -> None:
    project = copy_of(build("nucleo-f767", "zig"), tmp_path)
    with pytest.raises(ToolError, match="no board found"):
        flash_project(project, F767, protocol="mbed", port=str(tmp_path / "missing"))
    assert not (project / ".pio").exists(), "it holds absolute paths, also after a failure"


def test_doctor_finds_what_the_tests_use() -> None:
    checks = {check.name: check for check in diagnose()}
    assert checks["platformio"].ok
    assert checks["scons"].ok
    assert checks["Python"].detail
    assert all(check.hint or check.ok for check in checks.values()), "what is missing comes with advice"


@pytest.mark.usefixtures("bare_machine")
def test_doctor_on_a_bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantmcu.build.doctor.registry_reachable", lambda: False)
    monkeypatch.setattr("quantmcu.build.doctor.registry_toolchain_installed", lambda: False)
    checks = {check.name: check for check in diagnose()}
    compiler = checks["Arm compiler"]
    assert not compiler.ok
    assert compiler.required
    assert "quantmcu[zig]" in compiler.hint
    for protocol in ("stlink", "sam-ba", "dfu"):
        assert not checks[f"flashing by {protocol}"].ok
        assert not checks[f"flashing by {protocol}"].required
        assert checks[f"flashing by {protocol}"].hint
