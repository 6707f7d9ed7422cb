"""From a photograph to the numbers a model was trained on: geometry (Pillow), then an affine map of each channel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from quantmcu.data.inputs import ImageGeometry, InputSpec
from quantmcu.errors import UsageError

ColorOrder = Literal["RGB", "BGR", "L"]
Resample = Literal["bilinear", "nearest", "bicubic"]

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
    "bicubic": Image.Resampling.BICUBIC,
}


@dataclass(frozen=True, eq=False)
class ChannelAffine:
    """real[c] = scale[c] * pixel[c] + offset[c], for pixels 0 .. 255. Both float64 [channels]."""

    scale: NDArray[np.float64]
    offset: NDArray[np.float64]

    @property
    def is_uniform(self) -> bool:
        """All channels alike."""
        return bool(np.ptp(self.scale) == 0 and np.ptp(self.offset) == 0)

    def apply(self, pixels: NDArray[np.generic]) -> NDArray[np.float32]:
        """Real values, float32, of pixels whose last axis is the channels."""
        return (pixels.astype(np.float64) * self.scale + self.offset).astype(np.float32)


@dataclass(frozen=True)
class Preprocess:
    """Preprocessing of images, in this order: resize, crop, scale to the model's size if it still differs, affine map.

    Attributes:
        resize: (height, width), or the length of the shorter side with the aspect ratio kept; None: not resized first.
        resample: filter of every scaling.
        crop: (height, width) of a centre crop, after `resize`; None: not cropped.
        color_order: order of the channels; None: "RGB" for a model with 3 channels, "L" (grey) for one with 1.
        scale: real = (pixel * scale - mean[c]) / std[c].
        mean, std: after scaling; one value, or one a channel in the order of `color_order`.
        labels: names of the classes in the order of the model's outputs; None: not known.
    """

    resize: tuple[int, int] | int | None = None
    resample: Resample = "bilinear"
    crop: tuple[int, int] | None = None
    color_order: ColorOrder | None = None
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    labels: tuple[str, ...] | None = None

    def geometry(self, spec: InputSpec) -> ImageGeometry:
        """Size and layout of the image that the model wants.

        Raises:
            UsageError: the input is no image of as many channels, or mean and std have another number of values.
        """
        channels = {None: None, "L": 1}.get(self.color_order, 3)
        geometry = spec.image_geometry(channels)
        for key, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, geometry.channels):
                raise UsageError(
                    f"{key} has {len(values)} values, the model's image has {geometry.channels} channels",
                    f"preprocessing, input {spec.name}",
                    hint=f"give one value, or {geometry.channels}",
                )
        return geometry

    def affine(self, channels: int) -> ChannelAffine:
        """The map from a pixel to the model's real value, after resize and crop."""
        std = np.broadcast_to(np.asarray(self.std, np.float64), (channels,))
        mean = np.broadcast_to(np.asarray(self.mean, np.float64), (channels,))
        return ChannelAffine(self.scale / std, -mean / std)

    def with_affine(self, affine: ChannelAffine) -> Preprocess:
        """The same geometry with another affine map (of raw_input.fold_input_affine)."""
        std = 1.0 / affine.scale
        return replace(self, scale=1.0, mean=tuple((-affine.offset * std).tolist()), std=tuple(std.tolist()))

    def pixels(self, image: Image.Image, geometry: ImageGeometry) -> NDArray[np.uint8]:
        """The pixels that the model sees, uint8 [height, width, channels] in the wanted colour order."""
        image = image.convert("L" if geometry.channels == 1 else "RGB")
        filter_ = _FILTERS[self.resample]
        if self.resize is not None:
            image = image.resize(_resized(image.size, self.resize), filter_)
        if self.crop is not None:
            image = _centre_crop(image, self.crop)
        if image.size != (geometry.width, geometry.height):
            image = image.resize((geometry.width, geometry.height), filter_)
        pixels = np.asarray(image, np.uint8).reshape(geometry.height, geometry.width, geometry.channels)
        return pixels[:, :, ::-1] if self.color_order == "BGR" else pixels

    def values(self, pixels: NDArray[np.generic], geometry: ImageGeometry) -> NDArray[np.float32]:
        """The model's input, float32 with a batch of 1 in the model's layout, of pixels [height, width, channels]."""
        real = self.affine(geometry.channels).apply(pixels)[np.newaxis]
        return np.ascontiguousarray(real.transpose(0, 3, 1, 2) if geometry.layout == "NCHW" else real)


def _resized(size: tuple[int, int], resize: tuple[int, int] | int) -> tuple[int, int]:
    """Width and height after `resize`, for an image of `size` (width, height)."""
    if isinstance(resize, tuple):
        return resize[1], resize[0]
    width, height = size
    short = min(width, height)
    return max(1, round(width * resize / short)), max(1, round(height * resize / short))


def _centre_crop(image: Image.Image, crop: tuple[int, int]) -> Image.Image:
    """The central crop (height, width).

    Raises:
        UsageError: the image is smaller.
    """
    height, width = crop
    if image.width < width or image.height < height:
        raise UsageError(
            f"crop {height}x{width} is larger than the image, {image.height}x{image.width} (height x width)",
            hint="resize first: resize = N makes the shorter side N pixels long",
        )
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
