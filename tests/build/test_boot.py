"""Built firmware boots on every board (emulator, QEMU), and says what went wrong when it does not."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quantmcu.emulator import Emulator, StopReason
from quantmcu.emulator.qemu import PROGRAM
from quantmcu.targets import Board, list_boards, load_board
from tests.build.conftest import Build
from tests.build.tiny_network import in_trouble

COMPILER = "gcc" if shutil.which("arm-none-eabi-gcc") else "zig"
GREETING = "QuantMCU: tiny on {0.id} at {0.clock_hz} Hz"
FAULT = re.compile(r"QUANTMCU FAULT: (\w+) \(([^)]*)\) exception=0x(\w+) pc=0x(\w+) address=0x(\w+)")


def text_of(emulator: Emulator) -> str:
    return emulator.console.read().decode("latin-1")


@pytest.mark.parametrize(
    "board",
    [pytest.param(b, marks=[] if b.id == "nucleo-f767" else pytest.mark.slow, id=b.id) for b in list_boards()],
)
def test_boots_to_the_greeting(board: Board, build: Build) -> None:
    emulator = Emulator(build(board.id, COMPILER).elf, board)
    assert emulator.run() == StopReason.WAITING_FOR_INPUT
    assert GREETING.format(board) in text_of(emulator)
    assert emulator.faults == []


@pytest.mark.parametrize(
    ("board_id", "register", "message"),
    [
        ("nucleo-f767", "RCC_CR", "no external clock (HSE)"),
        pytest.param("nucleo-f767", "RCC_CFGR", "no switch to the PLL", marks=pytest.mark.slow),
        pytest.param("nucleo-l4r5", "RCC_CR", "the 16 MHz oscillator (HSI16) does not start", marks=pytest.mark.slow),
        pytest.param("nucleo-h743", "PWR_D3CR", "highest core voltage not reached", marks=pytest.mark.slow),
    ],
)
def test_clock_that_does_not_start_is_said_on_the_console(
    board_id: str, register: str, message: str, build: Build
) -> None:
    """The register loses its ready bits: polling must end, and tell."""
    board = load_board(board_id)
    emulator_facts = copy.deepcopy(dict(board.emulator))
    (broken,) = [entry for entry in emulator_facts["registers"] if entry["name"] == register]
    del broken["mirrors"]
    emulator = Emulator(build(board_id, COMPILER).elf, replace(board, emulator=emulator_facts))
    assert emulator.run() == StopReason.HALTED
    assert text_of(emulator) == f"\r\nQUANTMCU CLOCK: {message} on {board_id}; halted\r\n"


@pytest.mark.slow
def test_boot_loader_that_leaves_the_pll_on(build: Build) -> None:
    """As Arduino's may: the core runs on the PLL when the program starts."""
    board = load_board("portenta-h7")
    emulator_facts = copy.deepcopy(dict(board.emulator))
    left = {"RCC_CR": "0x03000025", "RCC_CFGR": "0x0000001b"}
    for entry in emulator_facts["registers"]:
        if entry["name"] in left:
            entry["reset"] = left[entry["name"]]
    emulator = Emulator(build("portenta-h7", COMPILER).elf, replace(board, emulator=emulator_facts))
    assert emulator.run() == StopReason.WAITING_FOR_INPUT
    assert GREETING.format(board) in text_of(emulator)


@pytest.mark.slow
def test_old_h743_silicon_is_refused(build: Build) -> None:
    """480 MHz needs revision V (0x2003); revision Y reads 0x1003."""
    board = load_board("nucleo-h743")
    facts = json.loads(json.dumps(board.emulator).replace("0x20036450", "0x10036450"))
    emulator = Emulator(build("nucleo-h743", COMPILER).elf, replace(board, emulator=facts))
    assert emulator.run() == StopReason.HALTED
    assert "480 MHz needs silicon revision V" in text_of(emulator)


NOTHING_THERE = "access to memory that does not exist"
NO_CODE_THERE = "execution of memory that does not exist"


def first_fault(board: Board, build: Build, trouble: str, folder: Path) -> tuple[str, str, int, int]:
    """Exception, reason, pc and address that the emulated board prints."""
    emulator = Emulator(in_trouble(build(board.id, COMPILER).elf, trouble, folder), board)
    printed = ""

    def reported() -> bool:
        nonlocal printed
        printed += text_of(emulator)
        return FAULT.search(printed) is not None

    emulator.run(until=reported)
    match = FAULT.search(printed)
    assert match is not None
    return match[1], match[2], int(match[4], 16), int(match[5], 16)


def marked(quick: str) -> list[Any]:
    """All boards; only those named in `quick` are in the quick set."""
    return [
        pytest.param(b, marks=() if b.id in quick.split() else pytest.mark.slow, id=b.id)
        for b in list_boards()
        if b.qemu_machine is None
    ]


@pytest.mark.parametrize(
    ("trouble", "exception", "reason", "address"),
    [
        ("FORBIDDEN_WRITE", "MemManage", "access to forbidden memory", 0x60000000),
        ("MISSING_READ", "BusFault", NOTHING_THERE, 0x10000000),
    ],
)
def test_fault_is_printed_with_cause_and_address(
    trouble: str, exception: str, reason: str, address: int, build: Build, tmp_path: Path
) -> None:
    board = load_board("nucleo-f767")
    found = first_fault(board, build, trouble, tmp_path)
    assert (found[0], found[1], found[3]) == (exception, reason, address)
    assert board.flash.contains(found[2]), "pc"


@pytest.mark.parametrize("board", marked("nucleo-f767 nucleo-u575 pico"))
def test_stack_overflow(board: Board, build: Build, tmp_path: Path) -> None:
    """By a guard of the memory protection unit; Armv8-M has a stack limit; Armv6-M has the guard, but no causes."""
    exception, reason, pc, address = first_fault(board, build, "STACK_OVERFLOW", tmp_path)
    assert reason == "stack overflow"
    if board.core == "cortex-m33":
        assert exception == "UsageFault"
        assert board.flash.contains(pc), "the core stops before the stack pointer moves"
        return
    assert exception == ("HardFault" if board.core == "cortex-m0plus" else "MemManage")
    assert pc == 0, "the core had no stack left to keep it on"
    if board.core != "cortex-m0plus":
        (stack,) = board.regions_for("stack")
        assert stack.origin - 4096 <= address < stack.origin


@pytest.mark.parametrize("board", marked("nucleo-f767 nucleo-u575 pico"))
@pytest.mark.parametrize(
    ("trouble", "exception", "reason", "address"),
    [
        ("MISSING_WRITE", "BusFault", NOTHING_THERE, 0xA0000000),
        ("MISSING_CODE", "BusFault", NO_CODE_THERE, 0),
        ("UNDEFINED", "UsageFault", "undefined instruction", 0),
    ],
)
def test_faults_on_every_board(
    board: Board, trouble: str, exception: str, reason: str, address: int, build: Build, tmp_path: Path
) -> None:
    expected = (exception, reason, address)
    if board.core == "cortex-m0plus":
        expected = ("HardFault", "this core records no cause", 0)
    found = first_fault(board, build, trouble, tmp_path)
    assert (found[0], found[1], found[3]) == expected
    assert found[2] == 0xA0000000 if trouble == "MISSING_CODE" else board.flash.contains(found[2])


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.parametrize("board_id", ["qemu-m4", "qemu-m7"])
@pytest.mark.parametrize(
    ("trouble", "fault"),
    [
        ("NONE", None),
        ("STACK_OVERFLOW", ("MemManage", "stack overflow")),
        ("UNDEFINED", ("UsageFault", "undefined instruction")),
    ],
)
def test_qemu_agrees(
    board_id: str, trouble: str, fault: tuple[str, str] | None, build: Build, tmp_path: Path
) -> None:
    board = load_board(board_id)
    elf = in_trouble(build(board_id, COMPILER).elf, trouble, tmp_path)
    printed = qemu_output(board, elf, "FAULT" if fault else "Hz", seconds=30)
    assert GREETING.format(board) in printed
    match = FAULT.search(printed)
    assert (match and (match[1], match[2])) == fault


def qemu_output(board: Board, elf: Path, wanted: str, *, seconds: float) -> str:
    """What QEMU prints until a line holds `wanted`."""
    command = [PROGRAM, "-machine", str(board.qemu_machine), "-nographic", "-monitor", "none", "-serial", "stdio"]
    process = subprocess.Popen(
        [*command, "-kernel", str(elf)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    printed = ""
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            line = process.stdout.readline().decode("latin-1")
            printed += line
            if wanted in line:
                return printed
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    raise AssertionError(f"no {wanted!r} within {seconds} s: {printed}")
