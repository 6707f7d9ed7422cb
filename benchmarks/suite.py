"""The networks that are measured."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mobilenetv2 import write_mobilenetv2

ROOT = Path(__file__).resolve().parents[1]
MODELS = Path(os.environ.get("QUANTMCU_MODELS", ROOT.parent / "shared" / "models"))


@dataclass(frozen=True)
class Network:
    """A network to measure.

    Attributes:
        id: short name.
        title: for tables.
        macs: multiply-accumulates of the network as published, before anything is removed; None: count the model's.
        model: gives the ONNX file, below the given folder when it has to be made.
        published: its name in data/published.json; None: as `id`.
        ram: bytes of RAM to compile for, in place of the board's.
    """

    id: str
    title: str
    macs: int | None
    model: Callable[[Path], Path]
    published: str | None = None
    ram: int | None = None

    def missing(self) -> str | None:
        """Why it can't be measured here, or None."""
        path = self.model(Path())
        return None if path.is_file() or not path.is_absolute() else f"there is no {path}"


def _existing(path: Path) -> Callable[[Path], Path]:
    return lambda folder: path


def _made(name: str, write: Callable[[Path], None]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        if folder.is_absolute() and not path.is_file():
            write(path)
        return path

    return make


NETWORKS = (
    Network("ic", "IC (ResNet8, 32x32)", 12_501_632, _existing(MODELS / "mlperf_ic_resnet8.onnx")),
    Network("vww", "VWW (MobileNetV1-0.25, 96x96)", 7_489_664, _existing(MODELS / "mlperf_vww_mobilenetv1.onnx")),
    Network(
        "vww-44k",
        "VWW with --ram 44k: 36 for feature maps, 4 of stack, 4 of variables",
        7_489_664,
        _existing(MODELS / "mlperf_vww_mobilenetv1.onnx"),
        "vww",
        44 * 1024,
    ),
    Network("kws", "KWS (DS-CNN)", 2_656_768, _existing(MODELS / "mlperf_kws_dscnn.onnx")),
    Network("ad", "AD (autoencoder)", 264_192, _existing(MODELS / "mlperf_ad_autoencoder.onnx")),
    Network("demo", "demo (CIFAR-10)", None, _existing(ROOT / "demo" / "cifar10_mobilenetv2.onnx")),
    Network(
        "mobilenetv2",
        "MobileNetV2-0.35 shapes, 144x144",
        None,
        _made("mobilenetv2_0.35_144.onnx", lambda path: write_mobilenetv2(path, width=0.35, size=144)),
    ),
)
