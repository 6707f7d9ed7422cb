"""Folders of images, with or without one sub-folder a class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from quantmcu.data.dataset import Dataset, checked_labels
from quantmcu.data.inputs import InputSpec
from quantmcu.data.preprocess import Preprocess
from quantmcu.errors import UsageError

IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


class ImageFolder(Dataset):
    """Images read from files, one at a time; in the order of their names.

    Sub-folders are classes: label i is the i-th of their sorted names, or of `labels` of the preprocessing.
    """

    is_pixels = True

    def __init__(self, folder: Path, spec: InputSpec, preprocess: Preprocess, *, classes: int | None = None) -> None:
        """Lists the files; reads none.

        Raises:
            UsageError: no images, images beside class folders, or a class folder that `labels` doesn't name.
        """
        self._spec, self._preprocess = spec, preprocess
        self._geometry = preprocess.geometry(spec)
        self._files = _images_in(folder)
        class_folders = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        by_class = {entry: _images_in(entry) for entry in class_folders}
        if self._files and any(by_class.values()):
            raise UsageError(
                "images beside folders with images",
                str(folder),
                "a data set is either a folder of images, or a folder with one sub-folder a class",
            )
        self.class_names = preprocess.labels
        if any(by_class.values()):
            names = preprocess.labels or tuple(entry.name for entry in class_folders)
            labels: list[int] = []
            for entry, files in by_class.items():
                if entry.name not in names:
                    what = f"the class folder '{entry.name}' is not among the labels"
                    raise UsageError(what, str(folder), hint=_some(names))
                self._files += files
                labels += [names.index(entry.name)] * len(files)
            self.class_names = names
            self.labels = checked_labels(np.asarray(labels), len(labels), classes, str(folder))
        if not self._files:
            suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
            raise UsageError("the folder holds no images", str(folder), f"looked for {suffixes}")
        self.description = f"{len(self._files)} images in {folder.name}/"

    def __len__(self) -> int:
        return len(self._files)

    def path(self, index: int) -> Path:
        """The file of sample `index`."""
        return self._files[index]

    def inputs(self, index: int) -> Mapping[str, NDArray[np.float32]]:
        path = self._files[index]
        try:
            with Image.open(path) as image:
                if image.mode.startswith(("I", "F")):
                    what = f"an image of mode {image.mode}"
                    raise UsageError(what, str(path), "more than 8 bits a channel", "convert it to 8 bits")
                pixels = self._preprocess.pixels(ImageOps.exif_transpose(image), self._geometry)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise UsageError("the image can't be read", str(path), str(error), "replace or remove the file") from error
        except UsageError as error:
            if error.where:
                raise
            raise UsageError(error.what, str(path), error.why, error.hint) from error
        return {self._spec.name: self._preprocess.values(pixels, self._geometry)}


def _images_in(folder: Path) -> list[Path]:
    return sorted(
        entry
        for entry in folder.iterdir()
        if entry.suffix.lower() in IMAGE_SUFFIXES and not entry.name.startswith(".") and entry.is_file()
    )


def _some(names: tuple[str, ...]) -> str:
    return "labels: " + ", ".join(names[:10]) + (f", ... ({len(names)})" if len(names) > 10 else "")
