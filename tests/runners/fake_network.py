"""The network of fake_model/model.c: its files, and what it computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from quantmcu.packing import Codes
from quantmcu.resources import data_folder

SHA256 = "f00d" * 16
WRITE, OVERFLOW, ENDLESS, ARENA, SLOW = 1, 2, 3, 4, 5


def files(height: int = 2) -> dict[str, str]:
    """The generated folder's files, for images of this height."""
    model = (Path(__file__).parent / "fake_model" / "model.c").read_text()
    header = (data_folder("firmware") / "runtime" / "quantmcu.h").read_text()
    return {
        "network/model.c": model.replace("#define FAKE_HEIGHT 2\n", f"#define FAKE_HEIGHT {height}\n"),
        "quantmcu.h": header,
    }


def random_inputs(seed: int, height: int = 2) -> list[Codes]:
    """Codes of both inputs; the first element of x is never the 255 that makes the network misbehave."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (1, height, 3, 5), dtype=np.uint8)
    y = rng.integers(0, 16, (1, height, 3, 5), dtype=np.uint8)
    x[0, 0, 0, 0] = min(x[0, 0, 0, 0], 254)
    return [x, y]


def misbehaving_inputs(misbehaviour: int, height: int = 2) -> list[Codes]:
    """Inputs that make the network misbehave."""
    x, y = random_inputs(0, height)
    x[0, 0, 0, 0], y[0, 0, 0, 0] = 255, misbehaviour
    return [x, y]


def expected(inputs: list[Codes]) -> list[Codes]:
    """The network's outputs, by NumPy."""
    x, y = inputs
    total = (x + 3 * y).astype(np.uint8)
    return [total, total // 64, np.array([total.sum(dtype=np.int64)], np.int32)]


def same(actual: list[Codes], wanted: list[Codes]) -> bool:
    """Whether all outputs agree in type, shape and every code."""
    return all(a.dtype == w.dtype and np.array_equal(a, w) for a, w in zip(actual, wanted, strict=True))
