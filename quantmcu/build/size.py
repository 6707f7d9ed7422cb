"""What the firmware occupies: by memory region and by part, read from the ELF file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.dwarf.ranges import RangeEntry
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from quantmcu.errors import ToolError
from quantmcu.targets import Board

_NETWORK_SOURCES = "src/model/"
_CODE_SECTIONS = (".text", ".hot_text")
_OVERHEAD_SECTIONS = (".boot_block", ".vectors", ".start_tables", ".ARM.extab", ".ARM.exidx")


@dataclass(frozen=True)
class FirmwareSize:
    """Sizes in bytes.

    Attributes:
        regions: bytes by memory region, in the board's order, from its start to the end of what lies there (so with
            gaps for alignment). Flash counts what is copied to RAM at start-up too: it is the size of firmware.bin.
        network_code: machine code of `src/model/` (kernels and steps).
        runtime_code: all other code (harness, ports, compiler support) and the vector table.
        constants: weights, tables and texts.
        data: initialised variables, which also occupy flash.
        bss: zeroed and uninitialised variables.
        arena: feature maps and scratch, by memory region.
        stack: reserved for the stack.
        hot_code: the part of the code that runs from RAM; it occupies flash too.
    """

    regions: Mapping[str, int]
    network_code: int
    runtime_code: int
    constants: int
    data: int
    bss: int
    arena: Mapping[str, int]
    stack: int
    hot_code: int

    @property
    def code(self) -> int:
        """All machine code."""
        return self.network_code + self.runtime_code

    @property
    def flash(self) -> int:
        """Flash in all, without gaps for alignment."""
        return self.code + self.constants + self.data

    @property
    def ram(self) -> int:
        """RAM in all, without the RAM that only holds code."""
        return self.data + self.bss + sum(self.arena.values()) + self.stack


def firmware_size(elf: Path, board: Board) -> FirmwareSize:
    """Reads the sizes of a firmware that was linked with the board's linker script.

    Raises:
        ToolError: the file is missing or no ELF file.
    """
    try:
        with elf.open("rb") as file:
            return _measure(ELFFile(file), board)
    except (OSError, ELFError) as error:
        raise ToolError("cannot read the firmware", where=str(elf), why=str(error)) from error


def _measure(file: Any, board: Board) -> FirmwareSize:
    sections = [section for section in file.iter_sections() if section["sh_flags"] & SH_FLAGS.SHF_ALLOC]
    by_name = {section.name: section["sh_size"] for section in sections}
    regions = {region.name: 0 for region in board.memory}
    for section in sections:
        region = board.region_of(section["sh_addr"])
        if region is not None and section["sh_size"]:
            end = section["sh_addr"] + section["sh_size"] - region.origin
            regions[region.name] = max(regions[region.name], end)
    stored = [s["p_paddr"] + s["p_filesz"] for s in file.iter_segments("PT_LOAD") if s["p_filesz"]]
    regions[board.flash.name] = max(stored, default=board.flash.origin) - board.flash.origin
    code = sum(by_name.get(name, 0) for name in _CODE_SECTIONS)
    overhead = sum(by_name.get(name, 0) for name in _OVERHEAD_SECTIONS)
    network = _network_code(file)
    return FirmwareSize(
        regions=regions,
        network_code=network,
        runtime_code=code - network + overhead,
        constants=by_name.get(".rodata", 0),
        data=by_name.get(".data", 0),
        bss=by_name.get(".bss", 0) + by_name.get(".noinit", 0),
        arena={region.name: by_name.get(f".arena.{region.name}", 0) for region in board.regions_for("arena")},
        stack=by_name.get(".stack", 0),
        hot_code=by_name.get(".hot_text", 0),
    )


def _network_code(file: Any) -> int:
    """Bytes of code whose source is below `src/model/`."""
    return sum(end - start for source, start, end in code_ranges(file) if source.startswith(_NETWORK_SOURCES))


def code_ranges(file: Any) -> Iterator[tuple[str, int, int]]:
    """Source file, first and end address of each function of an ELF file, by its debug information."""
    if not file.has_dwarf_info():
        return
    code = [section for section in file.iter_sections() if section.name in _CODE_SECTIONS]
    debug = file.get_dwarf_info()
    ranges = debug.range_lists()
    for unit in debug.iter_CUs():
        top = unit.get_top_DIE()
        name = top.attributes.get("DW_AT_name")
        if name is None:
            continue
        for start, end in _addresses(unit, top, ranges):
            # functions that the linker dropped keep a range at address 0, which need not lie in a code section
            if any(s["sh_addr"] <= start and end <= s["sh_addr"] + s["sh_size"] for s in code):
                yield name.value.decode("utf-8", "replace"), start, end


def _addresses(unit: Any, top: Any, ranges: Any) -> Iterator[tuple[int, int]]:
    """First and end address of each function of a compilation unit."""
    attributes = top.attributes
    if "DW_AT_ranges" in attributes:
        base = attributes["DW_AT_low_pc"].value if "DW_AT_low_pc" in attributes else 0
        for entry in ranges.get_range_list_at_offset(attributes["DW_AT_ranges"].value, cu=unit):
            if isinstance(entry, RangeEntry):
                offset = 0 if getattr(entry, "is_absolute", False) else base
                yield entry.begin_offset + offset, entry.end_offset + offset
            else:
                base = entry.base_address
    elif "DW_AT_low_pc" in attributes:
        low, high = attributes["DW_AT_low_pc"], attributes["DW_AT_high_pc"]
        yield low.value, high.value if high.form == "DW_FORM_addr" else low.value + high.value
