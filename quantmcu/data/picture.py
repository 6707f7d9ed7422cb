"""A sample of a data set as a picture for people."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from quantmcu.data.dataset import Dataset
from quantmcu.data.inputs import ImageGeometry, InputSpec
from quantmcu.data.preprocess import Preprocess
from quantmcu.data.random_inputs import RandomDataset
from quantmcu.errors import UsageError

_LONGEST_SIDE = 256
_SMALLEST_SIDE = 8
_QUALITY = 90


def sample_picture(dataset: Dataset, specs: Sequence[InputSpec], preprocess: Preprocess | None) -> bytes | None:
    """The first sample as the network sees it, as JPEG of at most 256 pixels a side; None where it is no image.

    Pixels are shown as they are. Values without a known preprocessing are stretched to the range of pixels.

    Raises:
        UsageError: the sample can't be read.
    """
    if len(specs) != 1 or isinstance(dataset, RandomDataset):
        return None
    try:
        geometry = specs[0].image_geometry() if preprocess is None else preprocess.geometry(specs[0])
    except UsageError:
        return None
    if min(geometry.height, geometry.width) < _SMALLEST_SIDE:
        return None
    values = dataset.inputs(0)[specs[0].name][0]
    pixels = _pixels(values.transpose(1, 2, 0) if geometry.layout == "NCHW" else values, geometry, preprocess)
    image = Image.fromarray(pixels[:, :, 0] if geometry.channels == 1 else pixels)
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return buffer.getvalue()


def _pixels(
    values: NDArray[np.float32], geometry: ImageGeometry, preprocess: Preprocess | None
) -> NDArray[np.uint8]:
    """uint8 [height, width, channels], RGB or grey, of the network's real values."""
    if preprocess is None:
        low, high = float(values.min()), float(values.max())
        pixels = (values - low) * (255 / ((high - low) or 1.0))
    else:
        affine = preprocess.affine(geometry.channels)
        pixels = (values - affine.offset) / affine.scale
        if preprocess.color_order == "BGR":
            pixels = pixels[:, :, ::-1]
    return np.ascontiguousarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
