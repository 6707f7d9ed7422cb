"""Random inputs: they exercise a model, and say nothing about its accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from quantmcu.data.dataset import Dataset
from quantmcu.data.inputs import InputSpec
from quantmcu.data.preprocess import Preprocess

RANDOM_SAMPLES = 32
"""How many samples `random` has unless asked otherwise."""


class RandomDataset(Dataset):
    """Reproducible noise: uniform pixels through the preprocessing where there is one, else normal values (0, 1)."""

    warning = (
        "random inputs: ranges, outputs and accuracy of the quantized model mean nothing for real data; "
        "give real samples for a model that is to be used"
    )

    def __init__(
        self,
        specs: Sequence[InputSpec],
        preprocess: Preprocess | None = None,
        *,
        samples: int = RANDOM_SAMPLES,
        seed: int = 0,
    ) -> None:
        self._specs, self._preprocess, self._samples, self._seed = specs, preprocess, samples, seed
        self.is_pixels = preprocess is not None
        self.description = f"{samples} random inputs"

    def __len__(self) -> int:
        return self._samples

    def inputs(self, index: int) -> Mapping[str, NDArray[np.float32]]:
        values: dict[str, NDArray[np.float32]] = {}
        for position, spec in enumerate(self._specs):
            generator = np.random.default_rng([self._seed, index, position])
            if self._preprocess is None:
                values[spec.name] = generator.standard_normal(spec.shape, np.float32)
            else:
                geometry = self._preprocess.geometry(spec)
                size = (geometry.height, geometry.width, geometry.channels)
                values[spec.name] = self._preprocess.values(generator.integers(0, 256, size, np.uint8), geometry)
        return values
