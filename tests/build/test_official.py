"""The second environment: the same sources by PlatformIO's official platform.

That platform comes from a registry, which tests don't reach; official/ stands for it with the same flags. What is
tested is that our extra script turns them into a firmware that runs.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from quantmcu.build import build_project
from quantmcu.build.pio import platformio_environment, run_platformio
from quantmcu.emulator import Emulator
from quantmcu.targets import load_board
from tests.build.tiny_network import write_tiny

BOARD = load_board("nucleo-f767")


@pytest.mark.slow
@pytest.mark.gcc
def test_official_platform_with_our_flags(tmp_path: Path) -> None:
    project = write_tiny(tmp_path / "project", BOARD)
    build_project(project, BOARD, toolchain="gcc")  # leaves SCons in PlatformIO's folder
    official = tmp_path / "official"
    (official / "builder").mkdir(parents=True)
    source = Path(__file__).parent / "official"
    shutil.copyfile(source / "platform.json", official / "platform.json")
    shutil.copyfile(source / "builder.py", official / "builder" / "main.py")
    (official / "boards").mkdir()
    shutil.copyfile(project / "platform/boards/nucleo-f767.json", official / "boards" / "nucleo_f767zi.json")
    ini = project / "platformio.ini"
    lines = ini.read_text().replace("platform = ststm32", f"platform = symlink://{official}").splitlines()
    ini.write_text("\n".join(line for line in lines if not line.startswith("platform_packages")) + "\n")

    run = run_platformio(
        project, ["-v", "-e", "nucleo-f767-official"], environment=platformio_environment(), log_name="official"
    )
    assert run.status == 0, run.output
    assert " -Os " not in run.output
    elf = project / ".pio/build/nucleo-f767-official/firmware.elf"
    with elf.open("rb") as file:
        assert ELFFile(file)["e_flags"] & 0x400, "EF_ARM_ABI_FLOAT_HARD (Arm ELF ABI, table 5-1)"
    emulator = Emulator(elf, BOARD)
    emulator.run()
    assert b"QuantMCU: tiny on nucleo-f767" in emulator.console.read()
