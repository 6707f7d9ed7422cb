"""The interface of every data set: a sequence of samples, read one at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantmcu.errors import UsageError


@dataclass(frozen=True, eq=False)
class Sample:
    """One set of inputs: float32 by input name, in the shape and layout of the original ONNX model, and the label."""

    inputs: Mapping[str, NDArray[np.float32]]
    label: int | None = None


class Dataset(ABC):
    """A sequence of samples. Reading sample i reads nothing else, so memory does not grow with the set.

    Attributes:
        description: one line for people, e.g. "500 images in photos/".
        labels: class index of every sample, int64 [samples], or None when there are none.
        class_names: by class index, or None when not known.
        is_pixels: the samples are 8-bit pixels that went through a `Preprocess`; a firmware may then take the pixels.
        warning: what a user has to be told about this data, or empty.
    """

    description: str = ""
    labels: NDArray[np.int64] | None = None
    class_names: tuple[str, ...] | None = None
    is_pixels: bool = False
    warning: str = ""

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples."""

    @abstractmethod
    def inputs(self, index: int) -> Mapping[str, NDArray[np.float32]]:
        """The inputs of sample `index`, 0 <= index < len.

        Raises:
            UsageError: the sample can't be read, or it holds NaN or infinity.
        """

    def __getitem__(self, index: int) -> Sample:
        """Sample `index`, counted from the end when negative."""
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        return Sample(self.inputs(index), None if self.labels is None else int(self.labels[index]))

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def take(self, limit: int | None) -> Dataset:
        """At most `limit` samples, spread evenly over the set: a folder per class keeps all its classes."""
        if limit is None or limit >= len(self):
            return self
        if limit < 1:
            raise UsageError(f"the limit on the number of samples is {limit}", hint="give a positive number")
        return Subset(self, [index * len(self) // limit for index in range(limit)])


class Subset(Dataset):
    """Some samples of another data set."""

    def __init__(self, dataset: Dataset, indices: Sequence[int]) -> None:
        self._dataset, self._indices = dataset, indices
        self.description = f"{len(indices)} of {dataset.description}"
        self.labels = None if dataset.labels is None else dataset.labels[list(indices)]
        self.class_names, self.is_pixels, self.warning = dataset.class_names, dataset.is_pixels, dataset.warning

    def __len__(self) -> int:
        return len(self._indices)

    def inputs(self, index: int) -> Mapping[str, NDArray[np.float32]]:
        return self._dataset.inputs(self._indices[index])


class RememberedDataset(Dataset):
    """Another data set whose samples are prepared once; beyond `most_bytes` in all, each time."""

    def __init__(self, dataset: Dataset, most_bytes: int = 256 * 2**20) -> None:
        self._dataset, self._room = dataset, most_bytes
        self._known: dict[int, Mapping[str, NDArray[np.float32]]] = {}
        self.description, self.labels = dataset.description, dataset.labels
        self.class_names, self.is_pixels, self.warning = dataset.class_names, dataset.is_pixels, dataset.warning

    def __len__(self) -> int:
        return len(self._dataset)

    def inputs(self, index: int) -> Mapping[str, NDArray[np.float32]]:
        if index in self._known:
            return self._known[index]
        values = self._dataset.inputs(index)
        size = sum(value.nbytes for value in values.values())
        if size <= self._room:
            self._room -= size
            self._known[index] = values
        return values


def checked_labels(labels: NDArray[np.generic], samples: int, classes: int | None, where: str) -> NDArray[np.int64]:
    """`labels` as int64 [samples].

    Raises:
        UsageError: not one class index a sample, or one outside 0 .. classes - 1.
    """
    if labels.shape not in ((samples,), (samples, 1)):
        raise UsageError(
            f"labels of shape {labels.shape} for {samples} samples", where, hint="give one class index a sample"
        )
    if not (np.issubdtype(labels.dtype, np.integer) or np.issubdtype(labels.dtype, np.floating)):
        raise UsageError(f"labels of type {labels.dtype}", where, hint="give class indices as integers")
    flat = labels.reshape(samples).astype(np.int64)
    if not np.array_equal(flat, labels.reshape(samples)):
        raise UsageError("labels that are not whole numbers", where, hint="give class indices as integers")
    bad = np.flatnonzero((flat < 0) | (flat >= classes if classes is not None else False))
    if bad.size:
        allowed = f"0 .. {classes - 1}, for the model has {classes} outputs" if classes is not None else "0 and more"
        what = f"label {flat[bad[0]]} of sample {bad[0]} is out of range"
        raise UsageError(what, where, f"class indices are {allowed}")
    return flat
