"""The size report against the ELF file and the flash image."""

from __future__ import annotations

from pathlib import Path

import pytest

from quantmcu.build.size import firmware_size
from quantmcu.errors import ToolError
from quantmcu.targets import load_board
from tests.build.conftest import Build

F767 = load_board("nucleo-f767")


@pytest.mark.parametrize("toolchain", [pytest.param("gcc", marks=pytest.mark.gcc), "zig"])
def test_parts_and_regions(build: Build, toolchain: str) -> None:
    result = build("nucleo-f767", toolchain)
    size = firmware_size(result.elf, F767)
    assert size.regions["flash"] == result.bin.stat().st_size
    assert 0 <= size.regions["flash"] - size.flash < 32, "only alignment lies between the parts"
    assert size.stack == F767.stack_bytes
    assert size.arena == {"dtcm": 1024, "sram": 0}
    assert 0 <= size.regions["dtcm"] - size.ram < 64
    assert 0 < size.hot_code <= size.network_code < 600, "the network is a loop over 16 bytes, and troubles"
    assert size.regions["itcm"] == 32 + size.hot_code
    assert 3000 < size.runtime_code < 16 * 1024
    assert size.regions["sram"] == 0


def test_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "firmware.elf"
    with pytest.raises(ToolError, match="cannot read the firmware"):
        firmware_size(path, F767)
    path.write_bytes(b"not an ELF file")
    with pytest.raises(ToolError, match="cannot read the firmware"):
        firmware_size(path, F767)
