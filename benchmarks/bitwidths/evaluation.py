"""What a quantized network makes of the images of one half, and of both."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantmcu.quant.accuracy import predicted_class

Outputs = Sequence[NDArray[np.generic]]
Flags = NDArray[np.bool_]
_FLAGS = ("right", "float_right", "agrees")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """By image: whether the class is right and whether it is that of the float network; sums for signal to noise.

    Attributes:
        right, float_right, agrees: bool [images].
        signal, noise: sums of squares of the float network's outputs, and of the differences from them.
    """

    right: Flags
    float_right: Flags
    agrees: Flags
    signal: float
    noise: float

    @classmethod
    def of(cls, expected: Iterable[Outputs], outputs: Iterable[Outputs], labels: Sequence[int]) -> Evaluation:
        """Compares the first output of a network with that of the float network, image by image."""
        classes, signal, noise = [], 0.0, 0.0
        for wanted, got in zip(expected, outputs, strict=True):
            a, b = (np.asarray(first[0], np.float64) for first in (wanted, got))
            classes.append((predicted_class(a), predicted_class(b)))
            signal += float((a**2).sum())
            noise += float(((a - b) ** 2).sum())
        found, known = np.array(classes), np.array(labels)
        return cls(found[:, 1] == known, found[:, 0] == known, found[:, 0] == found[:, 1], signal, noise)

    @classmethod
    def joined(cls, parts: Sequence[Evaluation]) -> Evaluation:
        """Of all images of the parts."""
        flags = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _FLAGS}
        return cls(**flags, signal=sum(part.signal for part in parts), noise=sum(part.noise for part in parts))

    @property
    def sqnr_db(self) -> float:
        """Signal to quantization noise ratio of the outputs."""
        return 10 * math.log10(self.signal / self.noise) if self.noise else math.inf

    def as_json(self) -> dict[str, Any]:
        """Flags packed, eight a byte, as hexadecimal digits."""
        flags = {name: np.packbits(getattr(self, name)).tobytes().hex() for name in _FLAGS}
        return {"images": len(self.right), **flags, "signal": self.signal, "noise": self.noise}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Evaluation:
        """What `as_json` made."""
        flags = {name: _unpacked(data[name], data["images"]) for name in _FLAGS}
        return cls(**flags, signal=data["signal"], noise=data["noise"])


def _unpacked(digits: str, count: int) -> Flags:
    return np.unpackbits(np.frombuffer(bytes.fromhex(digits), np.uint8), count=count).astype(np.bool_)


def paired_difference(flags: Flags, others: Flags) -> tuple[float, float]:
    """Mean of `flags` less that of `others` on the same images, and its standard error; both in points."""
    differences = 100.0 * (flags.astype(np.float64) - others.astype(np.float64))
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences)) if len(differences) > 1 else math.inf
    return float(differences.mean()), error
