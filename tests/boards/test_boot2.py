"""RP2040's second boot stage: made from its source, accepted by the boot ROM, at work on a modelled flash."""

from __future__ import annotations

import re
import struct
import zlib

import pytest
import unicorn
from unicorn import arm_const
from unicorn.unicorn_py3.unicorn import Uc

from quantmcu.build import boot2

LOADED_AT = 0x20041F00  # where the boot ROM copies it
SSI = 0x18000000
PROGRAM_STACK, PROGRAM_ENTRY = 0x20001000, 0x10000201


def shipped() -> bytes:
    words = re.findall(r"0x([0-9a-f]{8})u", boot2.HEADER.read_text())
    return struct.pack(f"<{len(words)}I", *(int(word, 16) for word in words))


@pytest.mark.gcc
def test_the_table_was_made_from_the_source() -> None:
    assert shipped() == boot2.block(boot2.assemble(boot2.SOURCE)), "python -m quantmcu.build.boot2"


def test_the_checksum_is_the_boot_roms() -> None:
    """CRC-32/MPEG-2, whose published check value is 0x0376e6e7; bit-reversed it is zlib's, not inverted."""
    assert boot2.checksum(b"123456789") == 0x0376E6E7
    data = shipped()
    assert len(data) == boot2.BLOCK_BYTES
    assert struct.unpack("<I", data[252:])[0] == boot2.checksum(data[:252])
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data[:252])
    assert int(f"{zlib.crc32(mirrored) ^ 0xFFFFFFFF:032b}"[::-1], 2) == boot2.checksum(data[:252])


class Flash:
    """W25Q16JV behind the SSI, as far as the boot stage asks: status registers, write enable, quad read."""

    def __init__(self, quad_enabled: bool) -> None:
        self.registers: dict[int, int] = {}
        self.status2 = 2 if quad_enabled else 0
        self.sent: list[int] = []
        self.answers: list[int] = []
        self.log: list[str] = []
        self.busy_polls = 0
        self.write_enabled = False

    def read(self, _: Uc, offset: int, __: int, ___: object) -> int:
        if offset == 0x28:
            self.transaction()
            return 4  # all sent, not busy
        if offset == 0x60:
            return self.answers.pop(0)
        return self.registers.get(offset, 0)

    def write(self, _: Uc, offset: int, __: int, value: int, ___: object) -> None:
        self.registers[offset] = value
        if offset == 0x08:
            self.sent.clear()
            self.answers.clear()
        if offset == 0x60:
            assert self.registers[0x08] == 1, "sent while the interface is off"
            self.sent.append(value)

    def transaction(self) -> None:
        """The chip select rises when all has been sent."""
        match self.sent:
            case []:
                return
            case [0x35, _]:
                self.answers += [0xFF, self.status2]
            case [0x05, _]:
                self.busy_polls += 1
                self.answers += [0xFF, 1 if self.busy_polls < 3 else 0]
            case [0x06]:
                self.write_enabled = True
                self.answers += [0xFF]
            case [0x01, 0, status]:
                assert self.write_enabled
                self.status2 = status
                self.answers += [0xFF] * 3
            case [0xEB, 0xA0]:
                assert self.registers[0x00] == 2 << 21 | 31 << 16 | 3 << 8
                assert self.registers[0xF4] == 0x2221
                self.log.append("continuous")
            case other:
                raise AssertionError(f"unknown command {other}")
        self.sent.clear()


@pytest.mark.parametrize("quad_enabled", [False, True])
def test_it_prepares_the_flash_and_starts_the_program(quad_enabled: bool) -> None:
    engine = Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB, arm_const.UC_CPU_ARM_CORTEX_M0)
    flash = Flash(quad_enabled)
    engine.mem_map(0x20000000, 0x42000)
    engine.mem_write(LOADED_AT, shipped())
    engine.mem_map(0x10000000, 0x1000)
    engine.mem_write(0x10000100, struct.pack("<2I", PROGRAM_STACK, PROGRAM_ENTRY))
    engine.mem_map(0x40020000, 0x1000)
    engine.mem_write(0x40020004, struct.pack("<6I", *[0x56] * 6))
    engine.mem_map(0xE000E000, 0x1000)
    engine.mmio_map(SSI, 0x1000, flash.read, None, flash.write, None)
    engine.reg_write(arm_const.UC_ARM_REG_SP, 0x20042000)
    engine.reg_write(arm_const.UC_ARM_REG_LR, 0)
    engine.emu_start(LOADED_AT | 1, PROGRAM_ENTRY & ~1, count=5000)

    assert engine.reg_read(arm_const.UC_ARM_REG_PC) == PROGRAM_ENTRY & ~1
    assert engine.reg_read(arm_const.UC_ARM_REG_MSP) == PROGRAM_STACK
    assert struct.unpack("<I", engine.mem_read(0xE000ED08, 4)) == (0x10000100,)
    assert flash.status2 == 2
    assert flash.write_enabled != quad_enabled
    assert flash.log == ["continuous"]
    assert flash.registers[0x08] == 1
    assert flash.registers[0x14] == 2, "62.5 MHz"
    assert flash.registers[0xF4] == 0xA0 << 24 | 0x2022, (
        "no command, 32 bits of address and mode, 4 clocks, all on four wires"
    )
    pads = struct.unpack("<6I", engine.mem_read(0x40020004, 24))
    assert pads == (0x21, *[0x54] * 4, 0x56)
