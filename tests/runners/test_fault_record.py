"""Fault records in words."""

import struct

from quantmcu.device import FaultRecord


def test_a_bus_fault_with_its_address():
    record = FaultRecord.parse(struct.pack("<B7I", 1, 5, 0x08001234, 0x08001111, 0x20000FE0, 0x8200, 0, 0x30000000))
    assert record is not None
    assert record.describe() == (
        "BusFault (data access to an address where there is nothing) at address 0x30000000, pc 0x08001234, "
        "lr 0x08001111, sp 0x20000fe0, CFSR 0x00008200, HFSR 0x00000000"
    )


def test_an_escalated_undefined_instruction():
    record = FaultRecord(3, 0x08000100, 0, 0x20001000, 1 << 16, 1 << 30, 0)
    assert record.describe().startswith("HardFault (undefined instruction), pc 0x08000100")


def test_a_stack_overflow_and_an_unreadable_vector_table():
    assert "stack overflow?" in FaultRecord(4, 0, 0, 0x1FFFFFE0, 1 << 4, 0, 0).describe()
    assert "vector table could not be read" in FaultRecord(3, 0, 0, 0, 0, 2, 0).describe()
    assert FaultRecord(15, 0, 0, 0, 0, 0, 0).cause_name == "exception 15"


def test_no_fault():
    assert FaultRecord.parse(bytes(29)) is None
