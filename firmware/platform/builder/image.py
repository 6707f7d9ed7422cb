"""ELF to flash image, and its size. Standalone: this file travels with each generated project.

python image.py size ELF FLASH_ORIGIN FLASH_SIZE
"""

import struct
import sys
from dataclasses import dataclass
from pathlib import Path

_PT_LOAD = 1
_FILL = b"\xff"  # what erased flash reads


@dataclass(frozen=True)
class Segment:
    """A loadable segment: `data` is stored at `load_address`; `memory_bytes` are occupied at `address`."""

    address: int
    load_address: int
    memory_bytes: int
    data: bytes


def load_segments(elf: bytes) -> list[Segment]:
    """Loadable segments of a 32-bit little-endian ELF file (System V ABI, chapters 4 and 5), by load address."""
    if elf[:6] != b"\x7fELF\x01\x01":
        raise ValueError("not a 32-bit little-endian ELF file")
    (table,) = struct.unpack_from("<I", elf, 28)
    entry_bytes, entries = struct.unpack_from("<HH", elf, 42)
    segments = []
    for i in range(entries):
        kind, offset, address, load, stored, memory = struct.unpack_from("<6I", elf, table + i * entry_bytes)
        if kind == _PT_LOAD and memory:
            segments.append(Segment(address, load, memory, elf[offset : offset + stored]))
    return sorted(segments, key=lambda segment: segment.load_address)


def binary(elf: bytes) -> bytes:
    """What is written to flash, from the lowest load address on; gaps are filled like erased flash."""
    stored = [segment for segment in load_segments(elf) if segment.data]
    image = b""
    for segment in stored:
        image = image.ljust(segment.load_address - stored[0].load_address, _FILL) + segment.data
    return image


def sizes(elf: bytes, flash_origin: int, flash_size: int) -> tuple[int, int]:
    """Bytes of flash and bytes of RAM that the program occupies."""
    segments = load_segments(elf)
    flash = sum(len(segment.data) for segment in segments)
    ram = sum(s.memory_bytes for s in segments if not flash_origin <= s.address < flash_origin + flash_size)
    return flash, ram


def main(arguments: list[str]) -> None:
    """Prints one line for PlatformIO's size check."""
    command, path, origin, size = arguments
    if command != "size":
        raise SystemExit(__doc__)
    flash, ram = sizes(Path(path).read_bytes(), int(origin, 0), int(size, 0))
    print(f"flash {flash} ram {ram}")


if __name__ == "__main__":
    main(sys.argv[1:])
