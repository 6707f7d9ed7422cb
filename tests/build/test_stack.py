"""The stack that code needs: computed from machine code, against what the emulator sees."""

from __future__ import annotations

import dataclasses
from functools import cache

import pytest

from quantmcu.build.stack import StackAnalysis, require_stack
from quantmcu.emulator.function import FunctionMachine
from quantmcu.emulator.objects import compile_for_core
from quantmcu.errors import QuantMCUError, ToolError
from quantmcu.targets import load_board
from tests.build.conftest import Build

GCC_AND_ZIG = pytest.mark.parametrize("compiler", [pytest.param("gcc", marks=pytest.mark.gcc), "zig"])
SOURCE = """
#define APART __attribute__((noinline))
APART int small(int n) { volatile char a[40]; a[n & 31] = 1; return a[n & 7]; }
APART int large(int n) { volatile char a[400]; a[n & 255] = 1; return a[n & 63] + small(n); }
int (*const table[])(int) = {small, large};
APART int choose(int n) { volatile char a[64]; a[n & 31] = 1; return table[n & 1](n) + a[0]; }
APART int tail(int n) { return large(n + 1); }
APART int saves(int n, int m, int k) { return choose(n) * choose(m) + choose(k) * n + small(m); }
"""
ANOTHER = """
int other(int n, int m) { volatile char a[3000]; a[n & 255] = 1; return a[m & 63]; }
int (*const others[])(int, int) = {other};
"""


@cache
def analysed(source: str, compiler: str) -> tuple[StackAnalysis, FunctionMachine]:
    elf = compile_for_core([source, ANOTHER], "cortex-m4", ("-O2", "-g"), compiler)
    return StackAnalysis(elf), FunctionMachine(elf, "cortex-m4")


@GCC_AND_ZIG
@pytest.mark.parametrize(
    ("function", "arguments"), [("small", 1), ("large", 1), ("choose", 1), ("tail", 1), ("saves", 3)]
)
def test_the_deepest_path_is_what_runs(compiler: str, function: str, arguments: int) -> None:
    """Every path is taken. What no pointer of the file may point at has a far larger frame, which does not count."""
    stack, machine = analysed(SOURCE, compiler)
    used = max(machine.call(function, *[n] * arguments).stack_bytes for n in (0, 1))
    assert used <= stack.need_of(function).nbytes <= used + 16
    assert stack.need_of("other").nbytes >= 3000


@GCC_AND_ZIG
def test_large_frames_without_instructions_for_them(compiler: str) -> None:
    """Armv6-M moves the stack pointer by a register, and comes back by the frame pointer."""
    source = 'int f(int n) { char a[2000]; __asm volatile("" : : "r"(a) : "memory"); return a[n & 7]; }'
    stack = StackAnalysis(compile_for_core([source], "cortex-m0plus", ("-O2", "-g"), compiler))
    assert 2000 <= stack.need_of("f").nbytes < 2048


def test_a_circle_has_no_bound() -> None:
    source = "int f(int n) { volatile int a[8]; a[n & 7] = n; return n ? f(n - 1) + a[0] : 0; }"
    stack, _ = analysed(source, "zig")
    with pytest.raises(QuantMCUError, match="the stack that the firmware needs has no bound") as caught:
        stack.need_of("f")
    assert caught.value.where == "f"
    assert caught.value.why == "the functions call each other in a circle"


def test_an_array_of_any_size_has_no_bound() -> None:
    source = "int f(int n) { volatile char a[n]; for (int i = 0; i < n; i++) a[i] = 1; return a[n - 1]; }"
    with pytest.raises(ToolError, match="can't tell how much stack the firmware needs") as caught:
        analysed(source, "zig")
    assert "it moves the stack pointer by" in str(caught.value)


@GCC_AND_ZIG
def test_firmware_and_its_board(build: Build, compiler: str) -> None:
    board = load_board("nucleo-f767")
    elf = build("nucleo-f767", compiler).elf
    need = require_stack(elf, dataclasses.replace(board, stack_bytes=8192))
    large = board.stack_bytes + 900  # overflow_the_stack() of tiny/model.c
    assert 0 <= need["network_stack_bytes"] < 1024, "the network's run has no large frame"
    assert large < need["stack_need_bytes"] < large + 1024
    small = dataclasses.replace(board, stack_bytes=need["stack_need_bytes"] - 8)
    with pytest.raises(QuantMCUError, match="bytes of stack, 8 more than nucleo-f767 reserves") as caught:
        require_stack(elf, small)
    assert caught.value.why.startswith("the largest frames: overflow_the_stack 5,0")
    assert caught.value.hint == "a larger `stack_bytes` in the board's manifest (docs/adding-a-board.md)"
