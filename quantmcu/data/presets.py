"""Named preprocessings for --preprocess, and the choice between a name and a file."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from quantmcu.data.inputs import ImageGeometry, InputSpec
from quantmcu.data.preprocess import Preprocess
from quantmcu.data.preprocess_file import read_preprocess_file
from quantmcu.errors import UsageError

# torchvision's normalisation for ImageNet and the usual one for CIFAR-10, RGB
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CIFAR10_MEAN, _CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def _imagenet(geometry: ImageGeometry) -> Preprocess:
    short_side = round(max(geometry.height, geometry.width) * 256 / 224)
    crop = (geometry.height, geometry.width)
    return Preprocess(short_side, crop=crop, color_order="RGB", scale=1 / 255, mean=_IMAGENET_MEAN, std=_IMAGENET_STD)


def _imagenet_crop(geometry: ImageGeometry) -> Preprocess:
    return Preprocess(256, crop=(224, 224), color_order="RGB", scale=1 / 255, mean=_IMAGENET_MEAN, std=_IMAGENET_STD)


def _cifar10(geometry: ImageGeometry) -> Preprocess:
    return Preprocess(color_order="RGB", scale=1 / 255, mean=_CIFAR10_MEAN, std=_CIFAR10_STD)


def _unit(geometry: ImageGeometry) -> Preprocess:
    return Preprocess(scale=1 / 255)


def _signed(geometry: ImageGeometry) -> Preprocess:
    return Preprocess(scale=1 / 127.5, mean=(1.0,))


def _raw(geometry: ImageGeometry) -> Preprocess:
    return Preprocess()


_PRESETS: dict[str, tuple[Callable[[ImageGeometry], Preprocess], str]] = {
    "imagenet": (_imagenet, "shorter side to 256/224 of the model's size, centre crop, ImageNet mean and deviation"),
    "imagenet-crop": (
        _imagenet_crop,
        "centre crop 224 of the 256 image, scaled to the model's size, ImageNet mean and deviation",
    ),
    "cifar10": (_cifar10, "scaled to the model's size, CIFAR-10 mean and deviation"),
    "unit": (_unit, "scaled to the model's size, 0 .. 1"),
    "signed": (_signed, "scaled to the model's size, -1 .. 1"),
    "raw": (_raw, "scaled to the model's size, 0 .. 255"),
}

PRESET_DESCRIPTIONS = {name: text for name, (_, text) in _PRESETS.items()}
"""Names of the presets, and what each does."""


def load_preprocess(name_or_file: str | Path, spec: InputSpec) -> Preprocess:
    """The preset of this name, or the preprocessing file (.toml), for this input of the model.

    Raises:
        UsageError: neither a preset nor a file, a mistake in the file, or an input that is no image.
    """
    name = str(name_or_file)
    if name.endswith(".toml"):
        preprocess = read_preprocess_file(Path(name))
        preprocess.geometry(spec)
        return preprocess
    if name not in _PRESETS:
        near = difflib.get_close_matches(name, _PRESETS, n=1)
        raise UsageError(
            f"unknown preprocessing '{name}'" + (f"; did you mean '{near[0]}'?" if near else ""),
            "--preprocess",
            hint=f"one of {', '.join(_PRESETS)}, or a file that ends in .toml",
        )
    preset, _ = _PRESETS[name]
    preprocess = preset(Preprocess().geometry(spec))
    preprocess.geometry(spec)
    return preprocess
