"""From the value of --calib or --data to a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantmcu.data.arrays import ArrayDataset
from quantmcu.data.dataset import Dataset
from quantmcu.data.images import ImageFolder
from quantmcu.data.inputs import InputSpec
from quantmcu.data.npz import open_npy, open_npz
from quantmcu.data.preprocess import Preprocess
from quantmcu.data.presets import PRESET_DESCRIPTIONS
from quantmcu.data.random_inputs import RANDOM_SAMPLES, RandomDataset
from quantmcu.errors import UsageError

Source = str | Path | NDArray[np.generic] | Mapping[str, NDArray[np.generic]]
"""A path, "random", an array of samples, or arrays by input name (and `y`)."""


def open_dataset(
    source: Source,
    specs: Sequence[InputSpec],
    preprocess: Preprocess | None = None,
    *,
    classes: int | None = None,
    random_samples: int = RANDOM_SAMPLES,
) -> Dataset:
    """The data set that `source` names, for a model with these inputs.

    Args:
        source: .npz (`x`, optional `y`; or one array an input), .npy, a folder of images, a folder with one sub-folder
            a class, "random", or arrays.
        specs: the model's inputs, from `input_specs`.
        preprocess: for images; from `load_preprocess`.
        classes: number of outputs of a classifier; labels are checked against it.
        random_samples: number of samples for "random".

    Raises:
        UsageError: no such data, or data that does not fit the model.
    """
    if isinstance(source, np.ndarray):
        return ArrayDataset({"x": source}, specs, preprocess, classes=classes)
    if isinstance(source, Mapping):
        return ArrayDataset(source, specs, preprocess, classes=classes)
    if str(source) == "random":
        return RandomDataset(specs, preprocess, samples=random_samples)
    path = Path(source)
    if not path.exists():
        raise UsageError("no such file or folder", str(source), hint=SOURCES)
    if path.is_dir():
        return _image_folder(path, specs, preprocess, classes)
    if path.suffix == ".npz":
        return ArrayDataset(open_npz(path), specs, preprocess, classes=classes, where=path.name)
    if path.suffix == ".npy":
        return ArrayDataset({"x": open_npy(path)}, specs, preprocess, classes=classes, where=path.name)
    raise UsageError(f"'{path.suffix or path.name}' is no format of data", str(source), hint=SOURCES)


SOURCES = (
    "give an .npz file (x, optional y), an .npy file, a folder of images, a folder with one sub-folder a class, "
    'or "random" (which says nothing about accuracy)'
)
"""What --calib and --data accept; the hint of every error about them."""


def _image_folder(
    path: Path, specs: Sequence[InputSpec], preprocess: Preprocess | None, classes: int | None
) -> ImageFolder:
    if len(specs) != 1:
        raise UsageError(
            f"a folder of images can't feed {len(specs)} inputs",
            str(path),
            f"the model's inputs: {', '.join(spec.name for spec in specs)}",
            "give an .npz file with one array an input",
        )
    if preprocess is None:
        raise UsageError(
            "images need a preprocessing",
            str(path),
            "the model does not say how its training scaled the pixels, and a wrong guess ruins the accuracy silently",
            f"add --preprocess with one of {', '.join(PRESET_DESCRIPTIONS)}, or a .toml file",
        )
    return ImageFolder(path, specs[0], preprocess, classes=classes)
