"""The networks that are measured, and their data."""

from __future__ import annotations

import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.suite import MODELS, ROOT

DATA = Path(os.environ.get("QUANTMCU_DATA", MODELS.parent / "data"))
PHOTOGRAPHS = DATA / "imagenet-sample"
BOARD = "nucleo-f767"


@dataclass(frozen=True)
class Case:
    """A network with the images that calibrate and measure it.

    Attributes:
        id: short name.
        title: for tables.
        model: ONNX file.
        images: a folder, or an archive of one.
        preprocess: of the images.
        split_at: node that ends the patch stage whose BitOPs are given.
        stage_shape: of its output, for people.
        stage_lambda: of VDQS where patches have two classes, and what baselines equal: one that narrows several maps.
        is_whole: measured with all rows; else with the main ones.
    """

    id: str
    title: str
    model: Path
    images: Path
    preprocess: str
    split_at: str
    stage_shape: str
    stage_lambda: float
    is_whole: bool = True

    def missing(self) -> str | None:
        """Why it can't be measured here, or None."""
        return next((f"there is no {path}" for path in (self.model, self.images) if not path.exists()), None)

    def open_images(self, folder: Path) -> Path:
        """The folder of images; archives are unpacked below `folder`."""
        if self.images.is_dir():
            return self.images
        with tarfile.open(self.images) as archive:
            archive.extractall(folder, filter="data")
        return next(entry for entry in folder.iterdir() if entry.is_dir())


def _mobilenetv2(size: int, stage_shape: str, *, is_whole: bool) -> Case:
    model = MODELS / f"mobilenetv2_1.0_imagenet_{size}.onnx"
    end = "/features/features.4/conv/conv.2/Conv"
    title = f"MobileNetV2 1.0 @{size}"
    return Case(f"mobilenetv2-{size}", title, model, PHOTOGRAPHS, "imagenet-crop", end, stage_shape, 0.6, is_whole)


CASES = (
    _mobilenetv2(144, "18x18x32", is_whole=True),
    Case(
        "demo",
        "The demo's network (CIFAR-10)",
        ROOT / "demo" / "cifar10_mobilenetv2.onnx",
        DATA / "cifar10" / "test-dev.tar",
        "cifar10",
        "/blocks/blocks.3/layers/layers.6/Conv",
        "12x12x32",
        0.4,
    ),
    _mobilenetv2(224, "28x28x32", is_whole=False),
)
