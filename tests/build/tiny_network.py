"""Projects around the one-step network of tiny/model.c, for tests that need firmware but no compiler of networks."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from elftools.elf.elffile import ELFFile

from quantmcu.build import write_project
from quantmcu.resources import data_folder
from quantmcu.targets import Board

_MODEL = (Path(__file__).parent / "tiny" / "model.c").read_text(encoding="utf-8")


def tiny_files(board: Board, *, arena_bytes: int = 1024, extra: str = "") -> dict[str, str | bytes]:
    """The model folder: its arena in the board's preferred region, `extra` in quantmcu_init()."""
    region = board.regions_for("arena")[0].name
    config = (
        f'#define TINY_REGION "{region}"\n'
        f"#define TINY_ARENA_BYTES {arena_bytes}\n#define TINY_STACK_BYTES {board.stack_bytes}\n"
    )
    return {
        "model.c": _MODEL.replace("/* extra */", extra),
        "tiny_config.h": config,
        "quantmcu.h": (data_folder("firmware") / "runtime" / "quantmcu.h").read_bytes(),
    }


def write_tiny(out: Path, board: Board, *, arena_bytes: int = 1024, extra: str = "") -> Path:
    """Writes a project; gives its folder."""
    write_project(out, board, tiny_files(board, arena_bytes=arena_bytes, extra=extra), name="tiny")
    return out


def in_trouble(elf: Path, trouble: str, folder: Path) -> Path:
    """A copy, in `folder`, of firmware built from the tiny network, that runs into a trouble of tiny/model.c."""
    names = re.search(r"enum trouble { (.*) = 1, (.*) }", _MODEL)
    assert names is not None
    number = [names[1], *names[2].split(", ")].index(trouble) + 1
    data = bytearray(elf.read_bytes())
    with elf.open("rb") as file:
        parsed = ELFFile(file)
        address = parsed.get_section_by_name(".symtab").get_symbol_by_name("tiny_trouble")[0]["st_value"]
        (offset,) = parsed.address_offsets(address)
    assert data[offset : offset + 4] == struct.pack("<I", 1)
    data[offset : offset + 4] = struct.pack("<I", number)
    changed = folder / f"{trouble.lower()}.elf"
    changed.write_bytes(data)
    return changed
