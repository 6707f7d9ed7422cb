"""Which functions run from the board's code memory: RAM without wait states, filled at start-up.

Sizes are only known once the firmware is linked, so it is linked twice: first with everything in flash, then with the
hottest kernels in the code memory. Kernels are chosen by predicted cycles per byte of code, source file by source file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from elftools.elf.elffile import ELFFile

from quantmcu.build.size import code_ranges
from quantmcu.emulator.elf import Elf, Function
from quantmcu.targets import Board

_KERNELS = "src/model/kernels/"
# What linking adds to a function: its alignment, and a veneer for a call that reaches back into flash.
_OVERHEAD_BYTES = 24
# Free at the start of the region, so that nothing lies at the null address (templates/linker.ld.j2).
_RESERVED_BYTES = 32


def hot_functions(elf: Path, board: Board, heat: Mapping[str, float]) -> tuple[str, ...]:
    """Names of the functions that shall run from the code memory of `board`, sorted; none where it has no such memory.

    Args:
        elf: the firmware, linked with all code in flash.
        board: the board.
        heat: predicted cycles of an inference by source file below src/model/kernels/.
    """
    regions = board.regions_for("code")
    if not regions:
        return ()
    files = _functions_by_file(elf)
    sizes: dict[str, int] = defaultdict(int)  # static functions of several files may share a name, and so a section
    for functions in files.values():
        for function in functions:
            sizes[function.name] += function.size + _OVERHEAD_BYTES
    free = regions[0].size - _RESERVED_BYTES
    chosen: set[str] = set()

    def density(file: str) -> float:
        return heat.get(file, 0.0) / sum(sizes[function.name] for function in files[file])

    for file in sorted(files, key=lambda file: (-density(file), file)):
        added = {function.name for function in files[file]} - chosen
        needed = sum(sizes[name] for name in added)
        if heat.get(file, 0.0) > 0 and needed <= free:
            chosen |= added
            free -= needed
    return tuple(sorted(chosen))


def _functions_by_file(elf: Path) -> dict[str, list[Function]]:
    """The functions that each kernel source file became."""
    functions = Elf(elf).functions
    found: dict[str, list[Function]] = defaultdict(list)
    with elf.open("rb") as file:
        for source, start, end in code_ranges(ELFFile(file)):
            if source.startswith(_KERNELS):
                inside = [function for function in functions if start <= function.address < end]
                found[source.removeprefix(_KERNELS)] += inside
    return {source: found[source] for source in sorted(found) if found[source]}
