"""RP2040: a cycle counter from two timers, and a reset of the whole chip."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from quantmcu.build import build_project
from quantmcu.emulator import Emulator
from quantmcu.targets import load_board
from tests.build.tiny_network import write_tiny

COUNT = (
    "extern uint32_t port_cycles(void); extern void print_hex(uint32_t); extern void port_reset(void);"
    "uint32_t before = port_cycles(); for (volatile uint32_t i = 0; i < 4000000; i++) ;"
    "print_hex(port_cycles() - before); port_reset();"
)


@pytest.mark.slow
@pytest.mark.gcc
def test_cycles_beyond_the_timers_24_bits_and_reset(tmp_path: Path) -> None:
    board = load_board("pico")
    emulator = Emulator(build_project(write_tiny(tmp_path, board, extra=COUNT), board, toolchain="gcc").elf, board)
    emulator.run(until=lambda: emulator.resets >= 2)
    printed = emulator.console.read().decode("latin-1")
    counts = [int(count, 16) for count in re.findall(r"0x([0-9a-f]{8})", printed)]
    # a round of the loop: three accesses of two cycles, an addition, a comparison and a branch taken of two
    # (Arm DDI 0484, table 3-1)
    assert counts[0] == pytest.approx(10 * 4_000_000, rel=1e-5)
    assert counts[1] == counts[0], "after the reset it counts from the start"
    assert printed.count("QuantMCU: tiny on pico") >= 2
