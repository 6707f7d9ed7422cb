"""What tests need of the machine; and a small network, compiled once in a test run, for tests of what users do."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import quantmcu
from quantmcu.results import Result
from tests.once import made_once, start
from tests.onnx_models import make_model, node
from tests.thorough import register

CLASSES = 4
SIDE = 16

register()

# What a marked test needs: whether it is there, and how to get it.
NEEDS = {
    "gcc": (shutil.which("arm-none-eabi-gcc"), "arm-none-eabi-gcc (Debian: gcc-arm-none-eabi)"),
    "qemu": (shutil.which("qemu-system-arm"), "qemu-system-arm (Debian: qemu-system-arm)"),
    "shared": ((Path(__file__).parents[2] / "shared").is_dir(), "the models and data in ../shared"),
}


def pytest_configure() -> None:
    """Before test processes start."""
    start()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips marked tests whose need is not met here."""
    for item in items:
        for marker, (there, what) in NEEDS.items():
            if not there and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=f"needs {what}"))


def small_classifier() -> onnx.ModelProto:
    """Convolution, depthwise convolution with a skip connection, pooling, dense layer: 16x16 RGB to 4 classes."""
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> np.ndarray:
        return rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)

    nodes = [
        node("Conv", ["image", "w1", "b1"], "c1", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Relu", ["c1"], "r1"),
        node("Conv", ["r1", "w2"], "c2", pads=[1, 1, 1, 1], group=8),
        node("Add", ["c2", "r1"], "a"),
        node("GlobalAveragePool", ["a"], "p"),
        node("Flatten", ["p"], "f"),
        node("Gemm", ["f", "w3", "b3"], "scores", transB=1),
    ]
    constants = {
        "w1": weights(8, 3, 3, 3),
        "b1": weights(8, 1).ravel(),
        "w2": weights(8, 1, 3, 3),
        "w3": weights(CLASSES, 8),
        "b3": weights(CLASSES, 1).ravel(),
    }
    return make_model(nodes, {"image": [1, 3, SIDE, SIDE]}, ["scores"], constants)


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small classifier as a file."""
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    onnx.save(small_classifier(), str(path))
    return path


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled images: a folder a class, two in each."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(1)
    for label in range(CLASSES):
        (folder / f"class{label}").mkdir()
        for number in range(2):
            pixels = rng.integers(0, 256, (20, 24, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"class{label}" / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def compiled_once(small_model: Path, photos: Path) -> Path:
    """The small classifier compiled for nucleo-f767 and built; not to be changed."""

    def make(folder: Path) -> None:
        quantmcu.compile(small_model, "nucleo-f767", calibration=photos, preprocess="unit", out=folder / "small")

    return made_once("small classifier", make) / "small"


@pytest.fixture
def compiled(compiled_once: Path, tmp_path: Path) -> Result:
    """The small classifier compiled for nucleo-f767, built; a copy of its own for each test."""
    folder = tmp_path / "small"
    shutil.copytree(compiled_once, folder)
    return Result.load(folder)
