"""A small firmware in the emulator: console, faults, reset, core registers."""

from __future__ import annotations

import dataclasses

import pytest
from small_firmware import STACK_BYTES, command, fields, start

from quantmcu.emulator import EmulatedFaultError, EmulationLimitError, Emulator, StopReason
from quantmcu.emulator.exceptions import (
    BFARVALID,
    BUS_FAULT,
    DACCVIOL,
    DEBUGEVT,
    FORCED,
    HARD_FAULT,
    IBUSERR,
    INVSTATE,
    MEM_MANAGE,
    MMARVALID,
    MSTKERR,
    PRECISERR,
    STKERR,
    UNDEFINSTR,
    USAGE_FAULT,
)
from quantmcu.errors import UsageError
from quantmcu.targets import load_board

BOARDS_BY_CONSOLE = {
    "stm32-v1": "nucleo-f411",
    "stm32-v2": "nucleo-f767",
    "nrf52": "arduino-nano33-ble",
    "cmsdk": "qemu-m4",
}


@pytest.fixture
def emulator(tmp_path):
    return start(tmp_path)


@pytest.mark.parametrize("kind", BOARDS_BY_CONSOLE)
def test_bytes_go_both_ways_through_each_kind_of_console(kind, tmp_path):
    board = load_board(BOARDS_BY_CONSOLE[kind])
    assert board.console.kind == kind
    emulator = start(tmp_path, board)
    data = bytes(b for b in range(256) if chr(b) not in "rwxeubogHslfFcmkhnz")
    emulator.console.write(data)
    assert emulator.run() is StopReason.WAITING_FOR_INPUT
    assert emulator.console.read() == data


def test_it_stops_as_soon_as_the_firmware_waits_for_input(emulator):
    before = emulator.instructions
    assert emulator.run() is StopReason.WAITING_FOR_INPUT
    assert emulator.instructions - before < 2000
    assert not emulator.console.has_output


def test_more_output_than_the_buffer_holds_arrives_whole(emulator):
    data = b"Q" * 700_000
    emulator.console.write(data)
    received = bytearray()
    while not (emulator.run_slice(50_000_000) and not emulator.console.has_output):
        received += emulator.console.read()
    assert received == data


def test_stopping_and_going_on_changes_no_count(tmp_path):
    whole, sliced = start(tmp_path), start(tmp_path)
    for emulator in (whole, sliced):
        emulator.console.write(b"A" * 2000)
    whole.run()
    while sliced.run_slice(1000) is None:
        pass
    assert sliced.console.read() == whole.console.read()
    assert sliced.instructions == whole.instructions
    assert sliced.cycles == whole.cycles


@pytest.mark.parametrize(
    ("letter", "expected"),
    [
        ("r", {"fault": BUS_FAULT, "cfsr": PRECISERR | BFARVALID, "bfar": 0x70000000, "hfsr": 0}),
        ("w", {"fault": BUS_FAULT, "cfsr": PRECISERR | BFARVALID, "bfar": 0x08000100, "hfsr": 0}),
        ("x", {"fault": BUS_FAULT, "cfsr": IBUSERR, "pc": 0x70000000, "hfsr": 0}),
        ("u", {"fault": USAGE_FAULT, "cfsr": UNDEFINSTR, "r3": 77, "hfsr": 0}),
        ("e", {"fault": USAGE_FAULT, "cfsr": INVSTATE, "pc": 0x08000040, "hfsr": 0}),
        ("b", {"fault": HARD_FAULT, "cfsr": 0, "hfsr": DEBUGEVT}),
        ("o", {"fault": BUS_FAULT, "cfsr": PRECISERR | BFARVALID | STKERR, "hfsr": 0}),
    ],
)
def test_faults_enter_the_firmwares_handler_as_on_the_chip(emulator, letter, expected):
    answer = fields(command(emulator, "H" + letter))
    assert {name: answer[name] for name in expected} == expected
    assert answer["return"] == 0xFFFFFFF9
    assert emulator.resets == 1
    assert emulator.faults[0].pc == answer["pc"] or letter == "o"  # an overflown stack has no frame


def test_faults_without_a_handler_of_their_own_become_hard_faults(emulator):
    answer = fields(command(emulator, "r"))
    assert answer["fault"] == HARD_FAULT
    assert answer["hfsr"] == FORCED
    assert answer["cfsr"] == PRECISERR | BFARVALID
    assert answer["bfar"] == 0x70000000


def test_the_memory_protection_units_guard_below_the_stack_is_a_memory_fault(emulator):
    answer = fields(command(emulator, "Hgo"))
    assert answer["fault"] == MEM_MANAGE
    assert answer["cfsr"] == DACCVIOL | MMARVALID | MSTKERR
    assert 0x1FFFF000 <= answer["mmfar"] < 0x20000000


def test_a_fault_with_the_fpu_in_use_stacks_its_registers(emulator):
    answer = fields(command(emulator, "HFfr")[len("fpu\n") :])
    assert answer["return"] == 0xFFFFFFE9
    assert answer["bfar"] == 0x70000000


def test_a_fault_in_the_fault_handler_is_reported(tmp_path):
    emulator = start(tmp_path)
    handler = emulator.elf.symbols["report"]
    emulator._engine.mem_write(handler, b"\x00\xde" * 4)  # undefined instructions
    with pytest.raises(EmulatedFaultError) as error:
        command(emulator, "r")
    assert "undefined instruction" in str(error.value)
    assert "the core locks up" in error.value.hint
    assert error.value.fault.pc == handler


def test_a_software_reset_keeps_ram(emulator):
    answer = command(emulator, "r")
    assert "start 00000002" in answer
    assert "start 00000003" in command(emulator, "r")
    assert emulator.resets == 2


def test_svc_enters_its_handler_and_returns(emulator):
    assert command(emulator, "s") == "svc=00000001\n"
    assert command(emulator, "FfsA") == "fpu\nsvc=00000002\nA"


def test_fpu_use_before_it_is_enabled_is_reported(emulator):
    with pytest.raises(EmulatedFaultError) as error:
        command(emulator, "f")
    assert "before CPACR enables the FPU" in str(error.value)
    assert "use_fpu" in str(error.value) or "obey" in str(error.value)


def test_the_fpu_works_once_enabled(emulator):
    assert command(emulator, "Ff") == "fpu\n"


@pytest.mark.parametrize(("board", "cycles_per_pass"), [("nucleo-f767", (1, 1.5)), ("qemu-m4", (3, 3.3))])
def test_the_cycle_counter_counts_modelled_cycles_while_it_is_enabled(board, cycles_per_pass, tmp_path):
    answer = command(start(tmp_path, board), "c")
    least, most = cycles_per_pass
    assert fields(answer)["stopped"] == 0
    assert least * 1000 <= fields(answer)["cycles"] <= most * 1000 + 100
    assert answer.endswith("frozen\n")


def test_without_a_model_the_cycle_counter_counts_instructions(tmp_path):
    answer = fields(command(start(tmp_path, cycle_model=None), "c"))
    assert 2000 <= answer["cycles"] <= 2020


def test_registers_read_as_last_written_and_unknown_ones_are_logged(emulator):
    assert command(emulator, "m") == "register=00000000 1234aa78\n"
    assert emulator.unwritten_reads == {0x40010010: 1}


def test_ready_flags_follow_the_manifests_rules(emulator):
    assert command(emulator, "k") == "ready\n"


def test_a_firmware_that_waits_for_a_flag_without_rule_meets_the_limit(tmp_path):
    bare = dataclasses.replace(load_board("nucleo-f767"), emulator={})
    emulator = start(tmp_path, bare)
    with pytest.raises(EmulationLimitError) as error:
        command(emulator, "k", limit=100_000)
    assert "has not finished after 100,000 instructions" in str(error.value)
    assert "obey" in error.value.why


def test_an_endless_loop_meets_the_limit(emulator):
    with pytest.raises(EmulationLimitError):
        command(emulator, "z", limit=1_000_000)


def test_the_callers_condition_ends_a_run(emulator):
    emulator.console.write(b"z")
    assert emulator.run(until=lambda: emulator.instructions > 30_000_000) is StopReason.CONDITION


def test_wfi_halts_because_there_are_no_interrupts(emulator):
    emulator.console.write(b"h")
    assert emulator.run() is StopReason.HALTED


def test_wfe_goes_on(emulator):
    assert command(emulator, "n") == "event\n"


def test_stack_use_is_what_was_overwritten(emulator):
    used = emulator.stack_used()
    assert 16 <= used <= 256
    command(emulator, "o")
    emulator.run()
    assert emulator.stack_used() < STACK_BYTES  # painted again after the reset


def test_the_profile_names_functions_and_sums_to_the_total(emulator):
    command(emulator, "c" + "A" * 500)
    profile = emulator.profile()
    assert {"main", "put", "time_loop"} & {p.name for p in profile}
    assert sum(p.instructions for p in profile) == emulator.instructions
    assert abs(sum(p.cycles for p in profile) - emulator.cycles) <= len(profile)
    assert all(p.cycles_per_instruction > 0 for p in profile)
    assert profile == sorted(profile, key=lambda p: -p.cycles)


def test_firmware_of_another_board_is_refused(tmp_path):
    emulator = start(tmp_path)
    with pytest.raises(UsageError) as error:
        Emulator(tmp_path / "nucleo-f767.elf", load_board("qemu-m4"))
    assert "does not fit the flash of qemu-m4" in str(error.value)
    assert "was it built for another board?" in error.value.hint
    assert emulator.board.id == "nucleo-f767"


def test_a_file_that_is_no_elf_is_refused(tmp_path):
    path = tmp_path / "firmware.elf"
    path.write_bytes(b"no ELF at all")
    with pytest.raises(UsageError) as error:
        Emulator(path, load_board("nucleo-f767"))
    assert "cannot read the firmware" in str(error.value)
    assert error.value.where == str(path)


def test_unaligned_accesses_end_the_run_in_the_function_that_is_watched(tmp_path):
    emulator = start(tmp_path)
    assert "word=" in command(emulator, "l"), "cores with DSP instructions can do it"
    watched = start(tmp_path, aligned_in="read_apart")
    with pytest.raises(EmulatedFaultError, match=r"read of 4 bytes unaligned at 0x.*\(read_apart\+0x") as caught:
        command(watched, "l")
    assert caught.value.fault.address % 4 == 2
    unaware = start(tmp_path, aligned_in="put")
    assert "word=" in command(unaware, "l")
