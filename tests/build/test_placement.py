"""Hot kernels run from the board's code memory, as far as it goes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from quantmcu.build import BuildResult, build_project, write_project
from quantmcu.build.placement import hot_functions
from quantmcu.build.size import firmware_size
from quantmcu.device import DeviceSession
from quantmcu.emulator import Emulator
from quantmcu.emulator.elf import Elf
from quantmcu.emulator.transport import EmulatorTransport
from quantmcu.targets import Board, load_board
from tests.build.tiny_network import tiny_files
from tests.once import made_once

# where there is GCC, zig's turn comes in the long run
ZIG_LATER = pytest.param("zig", marks=pytest.mark.slow) if shutil.which("arm-none-eabi-gcc") else "zig"
L4R5 = load_board("nucleo-l4r5")
KERNEL = """#include <stdint.h>
static uint32_t mix(uint32_t x) {{ return x * {factor}u ^ x >> 3; }}
__attribute__((noinline)) static uint32_t shared(uint32_t x) {{ return mix(x) + mix(x + {factor}u); }}
uint32_t {name}(uint32_t x);
uint32_t {name}(uint32_t x) {{ for (int i = 0; i < 50; i++) x = shared(x); return x; }}
"""


def kernels(*names: str) -> dict[str, str]:
    return {f"kernels/{name}.c": KERNEL.format(name=name, factor=3 + 2 * i) for i, name in enumerate(names)}


def build_with(folder: Path, board: Board, toolchain: str, heat: Mapping[str, float] | None) -> BuildResult:
    """The tiny network, which calls the functions `cold` and `hot` once at its start."""
    call = "extern uint32_t cold(uint32_t), hot(uint32_t); volatile uint32_t sum = cold(hot(3)); (void)sum;"
    files = {**tiny_files(board, extra=call), **kernels("cold", "hot")}
    write_project(folder, board, files, name="placement")
    return build_project(folder, board, toolchain=toolchain, heat=heat)


def region_of(result: BuildResult, board: Board, name: str) -> str:
    region = board.region_of(Elf(result.elf).symbols[name])
    assert region is not None
    return region.name


@pytest.fixture(scope="module")
def all_in_flash() -> BuildResult:
    """Built without heat."""
    folder = made_once("firmware without heat", lambda folder: build_with(folder / "out", L4R5, "gcc", None))
    return BuildResult(folder / "out" / "firmware.elf", folder / "out" / "firmware.bin", "", (), 0.0)


@pytest.mark.parametrize("toolchain", [pytest.param("gcc", marks=pytest.mark.gcc), ZIG_LATER])
def test_kernels_with_predicted_cycles_run_from_code_memory(tmp_path: Path, toolchain: str) -> None:
    result = build_with(tmp_path / "out", L4R5, toolchain, {"hot.c": 1e6})
    assert region_of(result, L4R5, "hot") == "sram2"
    assert region_of(result, L4R5, "cold") == "flash"
    size = firmware_size(result.elf, L4R5)
    assert 0 < size.hot_code <= size.network_code
    assert size.regions["flash"] == result.bin.stat().st_size, "flash holds the copied code too"
    session = DeviceSession(EmulatorTransport(Emulator(result.elf, L4R5)), "emulator")
    assert session.identify().inputs, "it starts and answers"


@pytest.mark.gcc
def test_without_heat_all_code_stays_in_flash(all_in_flash: BuildResult) -> None:
    assert region_of(all_in_flash, L4R5, "hot") == "flash"
    assert hot_functions(all_in_flash.elf, L4R5, {}) == ()


@pytest.mark.gcc
def test_the_hottest_by_size_come_first_and_what_does_not_fit_stays(all_in_flash: BuildResult) -> None:
    heat = {"hot.c": 1e6, "cold.c": 10.0, "absent.c": 1e9}
    both = hot_functions(all_in_flash.elf, L4R5, heat)
    assert {"hot", "cold"} <= set(both)
    sizes = {function.name: function.size for function in Elf(all_in_flash.elf).functions}
    room = sizes["hot"] + sizes.get("shared", 0) * 2 + 24 * 2 + 32  # the two static functions share their name
    code = replace(L4R5.region("sram2"), size=room + 24)
    small = replace(L4R5, memory=tuple(code if region.name == "sram2" else region for region in L4R5.memory))
    assert "hot" in hot_functions(all_in_flash.elf, small, heat)
    assert "cold" not in hot_functions(all_in_flash.elf, small, heat)
    none = replace(small, memory=tuple(region for region in L4R5.memory if region.name != "sram2"))
    assert hot_functions(all_in_flash.elf, none, heat) == ()
