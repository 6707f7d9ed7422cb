"""Registers of peripherals: last value written, reset values, mirrored bits."""

from __future__ import annotations

import pytest

from quantmcu.emulator.registers import RegisterFile
from quantmcu.emulator.rules import register_rules
from quantmcu.emulator.timing import cycle_model
from quantmcu.errors import UsageError
from quantmcu.targets import list_boards

RULES = {
    "registers": [
        {"name": "CR", "address": "0x40000000", "reset": "0x83", "mirrors": [{"bit": 17, "of": 16}]},
        {"name": "CFGR", "address": "0x40000004", "mirrors": [{"bit": 3, "width": 3, "of": 0}]},
        {"name": "SR", "address": "0x40000008", "mirrors": [{"bit": 5, "of": 16, "register": "CR"}]},
    ]
}


@pytest.fixture
def registers():
    return RegisterFile(register_rules(RULES))


def test_a_flag_follows_its_enable_bit(registers):
    assert registers.read(0x40000000, 4) == 0x83
    registers.write(0x40000000, 4, 1 << 16)
    assert registers.read(0x40000000, 4) == 3 << 16
    registers.write(0x40000000, 4, 0)
    assert registers.read(0x40000000, 4) == 0


def test_a_field_mirrors_another_and_hides_what_was_written_there(registers):
    registers.write(0x40000004, 4, 0b111_010)
    assert registers.read(0x40000004, 4) == 0b010_010


def test_a_flag_follows_another_register(registers):
    assert registers.read(0x40000008, 4) == 0
    registers.write(0x40000000, 4, 1 << 16)
    assert registers.read(0x40000008, 4) == 1 << 5


def test_bytes_and_half_words_are_parts_of_words(registers):
    registers.write(0x40000100, 4, 0x11223344)
    registers.write(0x40000102, 2, 0xAABB)
    registers.write(0x40000100, 1, 0xCC)
    assert registers.read(0x40000100, 4) == 0xAABB33CC
    assert registers.read(0x40000101, 1) == 0x33
    assert registers.read(0x40000102, 2) == 0xAABB


def test_reads_of_registers_never_written_are_counted(registers):
    for _ in range(3):
        assert registers.read(0x40000200, 4) == 0
    registers.read(0x40000000, 4)
    assert registers.unwritten_reads == {0x40000200: 3}


def test_a_reset_restores_reset_values(registers):
    registers.write(0x40000000, 4, 0)
    registers.write(0x40000100, 4, 5)
    registers.reset()
    assert registers.read(0x40000000, 4) == 0x83
    assert registers.read(0x40000100, 4) == 0


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "CR"},
        {"name": "CR", "address": "somewhere"},
        {"name": "CR", "address": "0x40000000", "mirrors": [{"bit": 1, "of": 0, "register": "OTHER"}]},
    ],
)
def test_wrong_rules_are_refused(entry):
    with pytest.raises(UsageError) as error:
        register_rules({"registers": [entry]})
    assert "describes its emulated registers wrongly" in str(error.value)
    assert error.value.where == "quantmcu.emulator.registers"


@pytest.mark.parametrize("board", list_boards(), ids=lambda board: board.id)
def test_every_boards_manifest_has_rules_and_a_cycle_model_with_its_band(board):
    for rule in register_rules(board.emulator):
        assert rule.address % 4 == 0
        assert 0x40000000 <= rule.address < 0x60000000
    assert cycle_model(board.cycle_model["model"]).name == board.core
    assert board.cycle_model["note"]
    band = board.cycle_model["band_percent"]
    if band is None:  # QEMU's boards have no silicon, and of some chips no figure is published
        assert board.qemu_machine is not None or "no figure of this chip is published" in board.cycle_model["note"]
    else:
        assert band[0] < 0 < band[1]
