"""The benchmark of bits: which kind a step is, and boards with more flash."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bits import FLASH_BYTES, kind_of, with_more_flash
from quantmcu.targets import load_board


def convolution(shape: list[int], macs: int, kernel: str = "matmul_generated") -> dict[str, object]:
    return {"operator": "Convolution", "kernel": kernel, "shape": shape, "macs": macs}


def test_steps_are_told_apart() -> None:
    assert kind_of(convolution([1, 4, 4, 8], 9 * 128, "convolution_bands")) == "depthwise"
    assert kind_of(convolution([1, 4, 4, 8], 16 * 128)) == "convolution"
    assert kind_of(convolution([1, 1, 1, 8], 64 * 8)) == "dense"
    assert kind_of({"operator": "Linear"}) == "add"
    assert kind_of({"operator": "MaxPool"}) == "other"
    assert kind_of({}) == "other"


def test_boards_get_more_flash_and_stay_what_they_are(tmp_path: Path) -> None:
    board = load_board(with_more_flash("nucleo-f767", tmp_path))
    assert board.core == load_board("nucleo-f767").core
    assert sum(region.size for region in board.memory if region.kind == "flash") == FLASH_BYTES
