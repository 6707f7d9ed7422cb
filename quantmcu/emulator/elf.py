"""What the emulator needs from an ELF file: loadable segments and symbols."""

from __future__ import annotations

import bisect
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from quantmcu.errors import UsageError


@dataclass(frozen=True)
class Segment:
    """`data` lies at `load_address` in flash, and is used at `address` (start-up copies it where they differ).

    `memory_size` bytes are used, of which those after `data` are zero.
    """

    address: int
    load_address: int
    data: bytes
    memory_size: int


@dataclass(frozen=True)
class Function:
    """A function symbol; `size` is 0 where the assembler gave none."""

    name: str
    address: int
    size: int


class Elf:
    """An ELF file for 32-bit Arm.

    Args:
        source: path of the file, or its bytes.

    Attributes:
        data: its bytes.

    Raises:
        UsageError: it is no such file.
    """

    def __init__(self, source: Path | bytes) -> None:
        self.name = "the ELF image" if isinstance(source, bytes) else str(source)
        try:
            data = source if isinstance(source, bytes) else source.read_bytes()
            self._file = ELFFile(io.BytesIO(data))
            self.data = data
        except (OSError, ELFError) as error:
            raise UsageError("cannot read the firmware", where=self.name, why=str(error)) from error
        if self._file["e_machine"] != "EM_ARM":
            raise UsageError("the firmware is not for Arm", where=self.name, why=f"machine {self._file['e_machine']}")

    @cached_property
    def segments(self) -> list[Segment]:
        """Loadable segments, in the order of the file."""
        return [
            Segment(s["p_vaddr"], s["p_paddr"], s.data(), s["p_memsz"])
            for s in self._file.iter_segments("PT_LOAD")
            if s["p_memsz"]
        ]

    @cached_property
    def symbols(self) -> dict[str, int]:
        """Addresses of all named symbols, of functions without the Thumb bit."""
        return {s.name: _address(s) for s in self._symbol_table if s["st_info"]["type"] in _SYMBOL_TYPES}

    @cached_property
    def functions(self) -> list[Function]:
        """Functions by ascending address; of several names of one address the first by name."""
        found = [s for s in self._symbol_table if s["st_info"]["type"] == "STT_FUNC"]
        unique: dict[int, Function] = {}
        for symbol in sorted(found, key=lambda s: str(s.name)):
            unique.setdefault(_address(symbol), Function(symbol.name, _address(symbol), symbol["st_size"]))
        return [unique[address] for address in sorted(unique)]

    def function_at(self, address: int) -> Function | None:
        """The function that holds the code at `address`."""
        index = bisect.bisect_right(self._addresses, address) - 1
        if index < 0:
            return None
        function = self.functions[index]
        return function if function.size == 0 or address < function.address + function.size else None

    def describe(self, address: int) -> str:
        """`0x08000124 (main+0x14)`, or the bare address where no function lies."""
        function = self.function_at(address)
        if function is None:
            return f"0x{address:08x}"
        offset = address - function.address
        return f"0x{address:08x} ({function.name}+0x{offset:x})" if offset else f"0x{address:08x} ({function.name})"

    @cached_property
    def _addresses(self) -> list[int]:
        return [function.address for function in self.functions]

    @cached_property
    def _symbol_table(self) -> list[Any]:
        table: Any = self._file.get_section_by_name(".symtab")
        if table is None:
            return []
        return [
            s for s in table.iter_symbols() if s.name and not s.name.startswith("$") and s["st_shndx"] != "SHN_UNDEF"
        ]


_SYMBOL_TYPES = ("STT_FUNC", "STT_OBJECT", "STT_NOTYPE")


def _address(symbol: Any) -> int:
    value = int(symbol["st_value"])
    return value & ~1 if symbol["st_info"]["type"] == "STT_FUNC" else value
