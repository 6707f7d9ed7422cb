"""The integer program: values and the steps between them, in execution order."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from quantmcu.ir.tensor import QParams
from quantmcu.program.steps import Step


@dataclass(frozen=True, eq=False)
class Value:
    """An array that steps read and write.

    Attributes:
        shape: all dimensions, N = 1 included.
        bits: 8, 4 or 2 for codes, packed densely along the last axis, each pixel on a byte of its own; 32 for int32
        indices.
        qparams: the real meaning of the codes; None for indices.
        data: the codes (unpacked, uint8), when the value is a constant in flash.
    """

    name: str
    shape: tuple[int, ...]
    bits: int
    qparams: QParams | None = None
    data: NDArray[np.uint8] | None = None

    @property
    def elements(self) -> int:
        """Number of codes."""
        return math.prod(self.shape)

    @property
    def row_bytes(self) -> int:
        """Bytes of the codes along the last axis."""
        channels = self.shape[-1] if self.shape else 1
        return (channels * self.bits + 7) // 8

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return math.prod(self.shape[:-1]) * self.row_bytes

    @property
    def highest_code(self) -> int:
        """Largest code."""
        return (1 << self.bits) - 1


@dataclass(frozen=True, eq=False)
class Program:
    """What the firmware computes.

    Attributes:
        name: of the model.
        inputs, outputs: names of values, in the model's order.
        steps: in execution order.
        values: by name.
        input_layouts, output_layouts: as in `ir.Graph`: permutation from the ONNX model's axes to ours, or None.
        on_demand: inputs that are no arrays in RAM: the patch stages that read them ask for the parts that they need.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    steps: tuple[Step, ...]
    values: Mapping[str, Value]
    input_layouts: tuple[tuple[int, ...] | None, ...] = ()
    output_layouts: tuple[tuple[int, ...] | None, ...] = ()
    on_demand: frozenset[str] = frozenset()

    def input_values(self, step: Step) -> tuple[Value, ...]:
        """The values that `step` reads."""
        return tuple(self.values[name] for name in step.inputs)

    def output_value(self, step: Step) -> Value:
        """The value that `step` writes."""
        return self.values[step.output]

    @cached_property
    def sha256(self) -> str:
        """Digest of everything that decides a result: steps, integers, shapes, inputs and outputs."""
        digest = hashlib.sha256()
        _digest(
            digest, [self.inputs, self.outputs, list(self.steps), [self.values[name] for name in sorted(self.values)]]
        )
        return digest.hexdigest()


def _digest(digest: hashlib._Hash, item: object) -> None:
    """Feeds `item` to the digest, with its type and length so that different structures can't collide."""
    match item:
        case np.ndarray():
            digest.update(f"array {item.dtype.str} {item.shape}:".encode())
            digest.update(np.ascontiguousarray(item).tobytes())
        case list() | tuple():
            digest.update(f"list {len(item)}:".encode())
            for element in item:
                _digest(digest, element)
        case frozenset():
            _digest(digest, sorted(item))
        case Mapping():
            _digest(digest, [[key, value] for key, value in item.items()])
        case _ if is_dataclass(item):
            digest.update(f"{type(item).__name__}:".encode())
            for field in fields(item):
                _digest(digest, getattr(item, field.name))
        case _:
            digest.update(f"{item!r};".encode())
