"""The memory model: caches counted by hand, and the totals of small loops pinned."""

from __future__ import annotations

from dataclasses import replace

import pytest
from assembly import HEADER, function

from quantmcu.emulator import Cache, FunctionMachine, MemoryModel, SlowMemory, compile_for_core, memory_model
from quantmcu.emulator.function import FLASH_BYTES, FLASH_ORIGIN, RAM_BYTES, RAM_ORIGIN
from quantmcu.errors import UsageError
from quantmcu.targets import load_board

MODELLED = ("nucleo-l4r5", "nucleo-f411", "nucleo-f746", "nucleo-f767", "nucleo-h743")
FLASH_AT_5 = SlowMemory(FLASH_ORIGIN, FLASH_BYTES, 5, 5)
NO_CACHE = Cache(0, 8, 0)
LARGE = Cache(1024, 8, 128)


def machine(text, model, core="cortex-m4", **options):
    elf = compile_for_core([HEADER + text], core, flags=())
    return FunctionMachine(elf, core, memory=model, **options)


def stalls_of(text, model, *arguments, calls=1):
    """Cycles that the last of `calls` calls of the function f waits."""
    m = machine(text, model)
    for _ in range(calls):
        before = m.counter.stall_cycles
        result = m.call("f", *arguments)
    waited = m.counter.stall_cycles - before
    assert result.cycles >= waited
    return waited


def test_straight_code_waits_for_each_line_once_while_the_cache_holds_it():
    text = function("f", "nop\n" * 39 + "bx lr")  # 80 bytes from the start of flash: ten lines
    model = MemoryModel(LARGE, NO_CACHE, (FLASH_AT_5,))
    assert stalls_of(text, model) == 50
    assert stalls_of(text, model, calls=2) == 0


def test_a_loop_larger_than_the_cache_misses_every_line_again():
    body = "1:\n" + "nop\n" * 62 + "subs r0, r0, #1\nbne 1b\nbx lr"  # 128 bytes a turn: 16 lines
    fits = MemoryModel(Cache(128, 8, 16), NO_CACHE, (FLASH_AT_5,))
    too_small = MemoryModel(Cache(64, 8, 8), NO_CACHE, (FLASH_AT_5,))
    assert stalls_of(function("f", body), fits, 10) == 5 * 17  # the last line holds the return
    assert stalls_of(function("f", body), too_small, 10) == 5 * (10 * 16 + 1)


READER = function("f", "1:\nldr r2, [r0], #4\nsubs r1, r1, #1\nbne 1b\nbx lr")


@pytest.mark.parametrize(
    ("data", "reads", "expected"),
    [
        (Cache(256, 8, 32), 40, 5 * 20),  # two words a line
        (Cache(256, 32, 4), 40, 5 * 5),
        (NO_CACHE, 40, 5 * 40),  # every access
    ],
)
def test_reads_from_flash_wait_for_missing_lines(data, reads, expected):
    model = MemoryModel(LARGE, data, (replace(FLASH_AT_5, fetch_cycles=0),))
    assert stalls_of(READER, model, FLASH_ORIGIN + 0x1000, reads) == expected


def test_the_line_used_longest_ago_is_replaced():
    # Lines A B A C A B in a cache of two: A B miss, A hits, C replaces B, A hits, B misses.
    offsets = [0, 8, 0, 16, 0, 8]
    text = function("f", "\n".join(f"ldr r1, [r0, #{offset}]" for offset in offsets) + "\nbx lr")
    model = MemoryModel(LARGE, Cache(16, 8, 2), (replace(FLASH_AT_5, fetch_cycles=0),))
    assert stalls_of(text, model, FLASH_ORIGIN + 0x1000) == 5 * 4


def test_lines_of_one_set_compete():
    # Eight sets of one way: addresses 64 bytes apart share a set.
    text = function("f", "ldr r1, [r0]\nldr r1, [r0, #64]\nldr r1, [r0]\nldr r1, [r0, #8]\nldr r1, [r0, #8]\nbx lr")
    model = MemoryModel(LARGE, Cache(64, 8, 1), (replace(FLASH_AT_5, fetch_cycles=0),))
    assert stalls_of(text, model, FLASH_ORIGIN + 0x1000) == 5 * 4


def test_other_memory_and_writes_do_not_wait():
    m = machine(
        READER + function("store", "str r1, [r0]\nldr r2, [r0]\nbx lr"), memory_model(load_board("nucleo-f767"))
    )
    fast = m.allocate(64)  # DTCM
    m.call("f", fast, 16)
    before = m.counter.stall_cycles
    m.call("f", fast, 16)
    assert m.counter.stall_cycles == before
    m.call("store", fast, 1)
    before = m.counter.stall_cycles
    slow = 0x20020000 + 0x100  # SRAM behind the data cache: the write brings the line in
    m.call("store", slow, 1)
    assert m.counter.stall_cycles == before


def test_cycles_are_those_of_the_core_and_the_waiting():
    without = machine(READER, None).call("f", FLASH_ORIGIN + 0x1000, 64).cycles
    with_model = machine(READER, MemoryModel(LARGE, Cache(256, 8, 32), (FLASH_AT_5,)))
    result = with_model.call("f", FLASH_ORIGIN + 0x1000, 64)
    assert result.cycles == without + with_model.counter.stall_cycles
    assert with_model.counter.stall_cycles == 5 * (32 + 2)  # data, and ten bytes of code


def test_stalls_belong_to_the_block_that_waits():
    m = machine(READER, MemoryModel(LARGE, Cache(256, 8, 32), (FLASH_AT_5,)))
    m.call("f", FLASH_ORIGIN + 0x1000, 64)
    assert sum(block.stall_cycles for block in m.counter.blocks()) == m.counter.stall_cycles


@pytest.mark.parametrize("slow", [True, False])
def test_conditional_instructions_are_not_disturbed(slow):
    body = "cmp r1, #0\nitte ne\nldrne r2, [r0]\nstrne r2, [r0, #4]\nmoveq r2, #9\nldr r3, [r0]\nadds r0, r2, r3\nbx lr"
    ram = (SlowMemory(RAM_ORIGIN, RAM_BYTES, 5, 5),) if slow else ()
    m = machine(function("pick", body), MemoryModel(LARGE, LARGE, (FLASH_AT_5, *ram)))
    x = m.allocate(b"\5\0\0\0\0\0\0\0")
    for _ in range(3):
        assert m.call("pick", x, 1).r0 == 10
        assert m.call("pick", x, 0).r0 == 14


# A pin: 1,000 reads from flash one after the other, and a loop of 2,000 bytes of code ten times over.
# (4,000 bytes of data and 10 of code; 2,006 bytes of code, which only the caches of Cortex-M7 hold.)
PINNED = {
    "nucleo-l4r5": (5 * (500 + 2), 5 * 251 * 10),
    "nucleo-f411": (3 * (250 + 1), 3 * 126 * 10),
    "nucleo-f746": (8 * (125 + 1), 8 * 63),
    "nucleo-f767": (8 * (125 + 1), 8 * 63),
    "nucleo-h743": (16 * (125 + 1), 16 * 63),
}


@pytest.mark.parametrize("board_id", MODELLED)
def test_the_models_of_the_boards_are_pinned(board_id):
    board = load_board(board_id)
    model = memory_model(board)
    code = "1:\n" + "nop\n" * 998 + "subs r0, r0, #1\nbne.n 2f\nbx lr\n2: b.w 1b"
    reads = stalls_of(READER, model, FLASH_ORIGIN + 0x1000, 1000)
    fetches = stalls_of(function("f", code), model, 10)
    assert (reads, fetches) == PINNED[board_id]


def test_a_board_without_memory_model_says_so():
    with pytest.raises(UsageError, match="there is no memory model of qemu-m4") as error:
        memory_model(load_board("qemu-m4"))
    assert "core only" in str(error.value)


def test_a_wrong_description_is_named():
    board = load_board("nucleo-l4r5")
    entry = {**board.cycle_model["memory"], "miss_cycles": {"flesh": 5}}
    with pytest.raises(UsageError, match="describes its memory model wrongly") as error:
        memory_model(replace(board, cycle_model={**board.cycle_model, "memory": entry}))
    assert "flesh" in str(error.value)
    entry = {**entry, "miss_cycles": {"flash": 5}, "data_cache": {"bytes": 96, "line_bytes": 8, "ways": 4}}
    with pytest.raises(UsageError, match="96 bytes"):
        memory_model(replace(board, cycle_model={**board.cycle_model, "memory": entry}))


def test_a_memory_model_needs_a_cycle_model():
    with pytest.raises(UsageError, match="adds to a cycle model"):
        FunctionMachine(
            compile_for_core([HEADER + READER], "cortex-m4", flags=()),
            "cortex-m4",
            model=None,
            memory=MemoryModel(LARGE, LARGE, (FLASH_AT_5,)),
        )
