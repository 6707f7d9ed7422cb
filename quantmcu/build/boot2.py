"""Makes RP2040's second boot stage a C table: `python -m quantmcu.build.boot2` (needs arm-none-eabi-gcc).

The boot ROM wants its checksum behind it, which no compiler computes; so the table is kept beside its source.
"""

from __future__ import annotations

import io
import struct
import subprocess
import tempfile
from pathlib import Path

from elftools.elf.elffile import ELFFile

from quantmcu.resources import data_folder

BLOCK_BYTES = 256
_CODE_BYTES = BLOCK_BYTES - 4
_POLYNOMIAL = 0x04C11DB7


def checksum(data: bytes) -> int:
    """CRC-32 as the boot ROM computes it: highest bit first, start value 0xffffffff, not inverted.

    Source: RP2040 data sheet, section 2.8.1.3.1.
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = crc << 1 ^ (_POLYNOMIAL if crc & 1 << 31 else 0)
        crc &= 0xFFFFFFFF
    return crc


def block(code: bytes) -> bytes:
    """The 256 bytes at the beginning of the flash."""
    padded = code.ljust(_CODE_BYTES, b"\0")
    if len(padded) > _CODE_BYTES:
        raise SystemExit(f"the second boot stage has {len(code)} bytes, {_CODE_BYTES} are there")
    return padded + struct.pack("<I", checksum(padded))


def assemble(source: Path) -> bytes:
    """Machine code of section .boot2."""
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "boot2.o"
        subprocess.run(["arm-none-eabi-gcc", "-c", str(source), "-o", str(built)], check=True)
        section = ELFFile(io.BytesIO(built.read_bytes())).get_section_by_name(".boot2")
    if section is None:
        raise SystemExit(f"{source} has no section .boot2")
    return bytes(section.data())


def header(data: bytes) -> str:
    """C text of a block."""
    words = [f"0x{word:08x}u" for word in struct.unpack(f"<{len(data) // 4}I", data)]
    rows = [f"    {', '.join(words[i : i + 8])}," for i in range(0, len(words), 8)]
    return "\n".join(
        [
            "/* RP2040's second boot stage, with the boot ROM's checksum at its end. Assembled from",
            " * firmware/boot/rp2040_boot2.S by python -m quantmcu.build.boot2: do not edit. */",
            "#ifndef QUANTMCU_RP2040_BOOT2_H",
            "#define QUANTMCU_RP2040_BOOT2_H",
            "",
            "#include <stdint.h>",
            "",
            '__attribute__((section(".boot_block"), used)) static const uint32_t boot2[64] = {',
            *rows,
            "};",
            "",
            "#endif",
            "",
        ]
    )


SOURCE = data_folder("firmware") / "boot" / "rp2040_boot2.S"
HEADER = data_folder("firmware") / "ports" / "rp2040_boot2.h"

if __name__ == "__main__":
    HEADER.write_text(header(block(assemble(SOURCE))), encoding="utf-8")
