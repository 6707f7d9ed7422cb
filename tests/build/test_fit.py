"""Firmware that is too large for the flash once it is linked: planned again with less."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from quantmcu.build import FlashOverflowError, build_to_fit
from quantmcu.memory import budget
from quantmcu.pipeline import compile_model
from quantmcu.progress import SilentProgress
from quantmcu.request import CompileRequest
from tests.onnx_models import make_model, node


class Notes(SilentProgress):
    """Keeps them."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Kept."""
        self.notes.append(text)


def build(size: int) -> str:
    """Of 100 bytes at most."""
    if size > 100:
        raise FlashOverflowError(size - 100, f"{size - 100} too many", "flash", "", "")
    return f"{size} bytes"


def test_what_is_missing_adds_up() -> None:
    """Each plan is told all that was missing so far; the first that fits is built."""
    asked = []

    def smaller(missing: int) -> int:
        asked.append(missing)
        return 113 - missing

    assert build_to_fit(110, build, smaller, str) == (100, "100 bytes")
    assert asked == [10, 13]
    assert build_to_fit(100, build, smaller, str) == (100, "100 bytes")
    assert asked == [10, 13]


def test_more_than_is_missing_is_given_up_until_something_changes() -> None:
    """Layers are large."""
    assert build_to_fit(110, build, lambda missing: 110 if missing < 16000 else 90, str) == (90, "90 bytes")


def test_where_nothing_is_smaller_the_first_error_stays() -> None:
    """And where plans stay too large, that of the last one."""
    with pytest.raises(FlashOverflowError, match=r"^flash: 10 too many$"):
        build_to_fit(110, build, lambda missing: 110, str)
    sizes = iter((109, 108, 107))
    with pytest.raises(FlashOverflowError, match=r"^flash: 7 too many$"):
        build_to_fit(110, build, lambda missing: next(sizes), str)


@pytest.mark.slow
@pytest.mark.gcc
def test_weights_get_fewer_bits_where_code_is_larger_than_assumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is assumed for code, so that the linker is the first to know."""
    monkeypatch.setattr(budget, "FIRMWARE_CODE_BYTES", 0)
    monkeypatch.setattr(budget, "CODE_SHARE", 10**9)
    weight = np.random.default_rng(0).normal(size=(200, 200)).astype(np.float32)
    nodes = [node("Gemm", ["x", "w", "b"], "h", transB=1), node("Gemm", ["h", "w2", "b"], "y", transB=1)]
    constants = {"w": weight / 14, "w2": weight[::-1].copy() / 14, "b": np.zeros(200, np.float32)}
    model = tmp_path / "dense.onnx"
    onnx.save(make_model(nodes, {"x": [1, 200]}, ["y"], constants), str(model))

    def compiled(name: str, flash: int | None) -> tuple[int, list[str]]:
        request = CompileRequest(
            model, "nucleo-f767", "random", tmp_path / name, flash=flash, toolchain="gcc", reconstruct="off"
        )
        progress = Notes()
        return compile_model(request, progress).data["memory"]["flash_total_bytes"], progress.notes

    ample, notes = compiled("ample", None)
    assert not any("missing" in note for note in notes)
    small, notes = compiled("small", ample - 100)
    assert small <= ample - 100
    assert "100 bytes of flash are missing for the code: bits and kernels are chosen again with less" in notes
