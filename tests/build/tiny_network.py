"""Projects around the one-step network of tiny/model.c, for tests that need firmware but no compiler of networks."""

from __future__ import annotations

from pathlib import Path

from quantmcu.build import write_project
from quantmcu.resources import data_folder
from quantmcu.targets import Board

_MODEL = (Path(__file__).parent / "tiny" / "model.c").read_text(encoding="utf-8")


def tiny_files(board: Board, *, arena_bytes: int = 1024, extra: str = "") -> dict[str, str | bytes]:
    """The model folder: its arena in the board's preferred region, `extra` in quantmcu_init()."""
    region = board.regions_for("arena")[0].name
    config = f'#define TINY_REGION "{region}"\n#define TINY_ARENA_BYTES {arena_bytes}\n'
    return {
        "model.c": _MODEL.replace("/* extra */", extra),
        "tiny_config.h": config,
        "quantmcu.h": (data_folder("firmware") / "runtime" / "quantmcu.h").read_bytes(),
    }


def write_tiny(out: Path, board: Board, *, arena_bytes: int = 1024, extra: str = "") -> Path:
    """Writes a project; gives its folder."""
    write_project(out, board, tiny_files(board, arena_bytes=arena_bytes, extra=extra), name="tiny")
    return out
