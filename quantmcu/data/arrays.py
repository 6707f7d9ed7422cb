"""Data sets in arrays: .npz and .npy files, and arrays given through the Python API."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from quantmcu.data.dataset import Dataset, checked_labels
from quantmcu.data.inputs import ImageGeometry, InputSpec
from quantmcu.data.npz import AnyArray
from quantmcu.data.preprocess import Preprocess
from quantmcu.errors import UsageError

_LOOKED_AT = 8
"""Samples."""


class ArrayDataset(Dataset):
    """Samples along the first axis of one array an input.

    Without a `Preprocess`, values are taken as they are, in the model's layout; axes of length 1 may be left out or
    moved, since that changes nothing in memory. With one, the arrays are images [samples, height, width, channels].
    """

    def __init__(
        self,
        arrays: Mapping[str, AnyArray],
        specs: Sequence[InputSpec],
        preprocess: Preprocess | None = None,
        *,
        classes: int | None = None,
        where: str = "array",
    ) -> None:
        """`arrays`: by input name, or `x` for a model's only input; `y` holds labels if present.

        Raises:
            UsageError: a missing array, or one of the wrong shape, type or length.
        """
        self._where, self._preprocess = where, preprocess
        self._arrays = {spec.name: _array_of(spec, arrays, specs, where) for spec in specs}
        lengths = {name: len(array) for name, array in self._arrays.items()}
        self._length = next(iter(lengths.values()))
        if len(set(lengths.values())) > 1:
            raise UsageError(f"the inputs have different numbers of samples: {lengths}", where)
        if self._length == 0:
            raise UsageError("the data set is empty", where)
        self._specs = {spec.name: spec for spec in specs}
        self._geometries: dict[str, ImageGeometry] = {}
        for spec in specs:
            array = self._arrays[spec.name]
            if preprocess is None:
                _check_shape(array, spec, where)
            else:
                self._geometries[spec.name] = geometry = preprocess.geometry(spec)
                _check_image_shape(array, geometry, preprocess, where)
                _check_pixels(array, where)
        self.is_pixels = preprocess is not None and all(array.dtype == np.uint8 for array in self._arrays.values())
        self.class_names = preprocess.labels if preprocess else None
        if "y" in arrays and "y" not in self._arrays:
            self.labels = checked_labels(np.asarray(arrays["y"]), self._length, classes, f"{where}: y")
        self.description = f"{self._length} samples in {where}"

    def __len__(self) -> int:
        return self._length

    def inputs(self, index: int) -> Mapping[str, NDArray[np.float32]]:
        values = {name: self._values(name, np.asarray(array[index])) for name, array in self._arrays.items()}
        for name, value in values.items():
            if not np.isfinite(value).all():
                raise UsageError(f"sample {index} holds NaN or infinity", f"{self._where}: {name}")
        return values

    def _values(self, name: str, sample: AnyArray) -> NDArray[np.float32]:
        if self._preprocess is None:
            return np.ascontiguousarray(sample, np.float32).reshape(self._specs[name].shape)
        geometry = self._geometries[name]
        pixels = sample.reshape(sample.shape[0], sample.shape[1], geometry.channels)
        if pixels.dtype == np.uint8:
            image = Image.fromarray(pixels[:, :, 0] if geometry.channels == 1 else pixels)
            return self._preprocess.values(self._preprocess.pixels(image, geometry), geometry)
        return self._preprocess.values(pixels, geometry)


def _array_of(spec: InputSpec, arrays: Mapping[str, AnyArray], specs: Sequence[InputSpec], where: str) -> AnyArray:
    """The array for this input, which has samples along its first axis."""
    name = spec.name if spec.name in arrays else "x"
    if name not in arrays or (name == "x" and len(specs) > 1 and spec.name != "x"):
        wanted = "'x'" if len(specs) == 1 else "one array an input: " + ", ".join(f"'{s.name}'" for s in specs)
        found = ", ".join(f"'{key}'" for key in arrays) or "nothing"
        raise UsageError(f"no data for the input '{spec.name}'", where, f"expected {wanted}; found {found}")
    array = arrays[name]
    if array.ndim == 0:
        raise UsageError("a single number is no data set", where, hint="the first axis counts the samples")
    return array


def _check_shape(array: AnyArray, spec: InputSpec, where: str) -> None:
    """Raises UsageError when the samples don't have the input's shape, axes of length 1 aside."""
    actual, expected = array.shape[1:], spec.shape[1:]
    if _without_ones(actual) == _without_ones(expected):
        return
    hint = ""
    if _without_ones(array.shape) == _without_ones(spec.shape):
        hint = "the first axis counts the samples: add one in front, x[None]"
    elif len(actual) == len(expected):
        for order in itertools.permutations(range(len(actual))):
            if tuple(actual[axis] for axis in order) == expected:
                hint = f"a transpose would fit: x.transpose{(0, *(axis + 1 for axis in order))}"
                break
    raise UsageError(
        f"wrong shape {tuple(array.shape)} for the input '{spec.name}'",
        where,
        f"expected (samples, {', '.join(map(str, expected))}), the model's own layout",
        hint,
    )


def _check_image_shape(array: AnyArray, geometry: ImageGeometry, preprocess: Preprocess, where: str) -> None:
    """Raises UsageError when the samples are not images that the preprocessing can bring to the model's shape."""
    channels = array.shape[3] if array.ndim == 4 else 1
    if array.ndim not in (3, 4) or channels != geometry.channels:
        raise UsageError(
            f"wrong shape {tuple(array.shape)} for images",
            where,
            f"with --preprocess, expected (samples, height, width, {geometry.channels})",
            "leave --preprocess out if the data is preprocessed already",
        )
    changes_size = preprocess.resize or preprocess.crop or array.shape[1:3] != (geometry.height, geometry.width)
    if array.dtype != np.uint8 and changes_size:
        raise UsageError(
            f"images of type {array.dtype} can't be resized or cropped",
            where,
            "only 8-bit images (uint8) can",
            f"give uint8, or images of {geometry.height}x{geometry.width} and no resize or crop",
        )


def _check_pixels(array: AnyArray, where: str) -> None:
    """Raises UsageError where floats are scaled already, as the first images show; integers are codes of any range."""
    if array.dtype.kind != "f":
        return
    first = np.asarray(array[:_LOOKED_AT], np.float64)
    low, high = float(first.min()), float(first.max())
    if low < 0 or high > 255 or 0 < high <= 1:
        raise UsageError(
            f"the values go from {low:.3g} to {high:.3g}",
            where,
            "--preprocess starts with pixels, 0 .. 255",
            "leave --preprocess out if the data is preprocessed already",
        )


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
