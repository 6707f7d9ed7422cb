"""The products of a block of depthwise outputs, before instructions are ordered and registers chosen.

The tile holds pairs of rows: a word is one column of two rows, as two half-words (firmware/kernels/depthwise.h). So the
taps of a kernel column that fall on the two rows of a pair are one SMLAD, and any column can be read without unaligned
loads. A block of `rows` x `columns` outputs is summed in registers; a column, once loaded, serves all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

SUMS = 4
"""Outputs of a block."""

OPERAND_REGISTERS = 8
"""Registers for weight words and columns of the map."""


@dataclass(frozen=True)
class DepthwiseShape:
    """Kernel, strides, and the block of outputs that is computed together: 2 x 2, or 1 x 4."""

    kernel_height: int
    kernel_width: int
    stride_y: int
    stride_x: int
    rows: int

    def __post_init__(self) -> None:
        if self.stride_y * self.rows % 2:
            raise ValueError("a step is a whole number of row pairs")

    @property
    def columns(self) -> int:
        """Outputs of a row in a block."""
        return SUMS // self.rows

    @property
    def pairs(self) -> int:
        """Row pairs that a block reads."""
        return (self.stride_y * (self.rows - 1) + self.kernel_height + 1) // 2

    @property
    def pairs_per_step(self) -> int:
        """Row pairs from one row of blocks to the next."""
        return self.stride_y * self.rows // 2

    @property
    def columns_read(self) -> int:
        """Columns that a block reads."""
        return (self.columns - 1) * self.stride_x + self.kernel_width

    @cached_property
    def passes(self) -> tuple[Pass, ...]:
        """All products of a block."""
        return tuple(one for pair in range(self.pairs) for one in self._passes_of(pair))

    @cached_property
    def words(self) -> int:
        """Weight words of a channel."""
        return sum(len(one.words) for one in self.passes)

    @property
    def stream_words(self) -> int:
        """Weight words of a channel in memory: an even number."""
        return self.words + self.words % 2

    @cached_property
    def products(self) -> int:
        """Multiply instructions of a block."""
        return sum(len(products) for one in self.passes for products in one.products.values())

    @property
    def is_resident(self) -> bool:
        """All weight words of a channel stay in registers, and two more hold columns of the map."""
        return self.words <= OPERAND_REGISTERS - 2

    @property
    def weight_registers(self) -> int:
        """Registers that hold weight words. Where these don't stay, the end of a block uses four of them."""
        return self.words if self.is_resident else max(4, *(len(one.words) for one in self.passes))

    @property
    def column_registers(self) -> int:
        """Registers that hold columns of the map."""
        return OPERAND_REGISTERS - self.weight_registers

    def weight_stream(self, weight: NDArray[np.int8]) -> NDArray[np.int8]:
        """Low and high half of each weight word in the order of the passes.

        Of [channels, ky, kx]: [channels, stream words, 2].
        """
        padded = np.pad(weight, ((0, 0), (0, 1), (0, 1)))  # a tap of -1 is the zero behind the kernel
        halves = [half for one in self.passes for word in one.words for half in word]
        halves += [(-1, -1)] * (2 * (self.stream_words - self.words))
        rows, columns = (np.array([half[axis] for half in halves]) for axis in (0, 1))
        return padded[:, rows, columns].reshape(len(weight), -1, 2)

    def _passes_of(self, pair: int) -> list[Pass]:
        """Products with one row pair: one pass for each row of outputs that uses both rows of the pair.

        A row of outputs that uses only one of them takes its weight from there, or from a pass of its own.
        """
        both: list[Pass] = []
        single: list[tuple[int, int, str]] = []
        for row in range(self.rows):
            taps = [2 * pair + half - self.stride_y * row for half in (0, 1)]
            inside = [0 <= tap < self.kernel_height for tap in taps]
            if all(inside):
                words = [((taps[0], t), (taps[1], t)) for t in range(self.kernel_width)]
                one = Pass(pair, words)
                one.add(self, row, "smlad", range(self.kernel_width))
                both.append(one)
            elif any(inside):
                half = inside.index(True)
                single.append((row, taps[half], "bt"[half]))
        for row, tap, half_read in single:
            self._add_single(both, pair, row, tap, half_read)
        return both

    def _add_single(self, passes: list[Pass], pair: int, row: int, tap: int, half_read: str) -> None:
        for one in passes:
            taps = [half[0] for half in one.words[0]]
            if tap in taps:
                one.add(self, row, f"smla{half_read}{'bt'[taps.index(tap)]}", range(self.kernel_width))
                return
        width = self.kernel_width
        words = [((tap, t), (tap, t + 1) if t + 1 < width else (-1, -1)) for t in range(0, width, 2)]
        one = Pass(pair, words)
        one.add(self, row, f"smla{half_read}b", range(0, width, 2))
        one.add(self, row, f"smla{half_read}t", range(1, width, 2))
        passes.append(one)


@dataclass(frozen=True)
class TapProduct:
    """sum += column . weight word, by the instruction (SMLAD, or SMLAxy of one half of each)."""

    instruction: str
    sum: int
    word: int


@dataclass
class Pass:
    """Products of one row pair with a set of weight words.

    Attributes:
        words: low and high half, each a tap (ky, kx).
        products: by column of the block.
    """

    pair: int
    words: list[tuple[tuple[int, int], tuple[int, int]]]
    products: dict[int, list[TapProduct]] = field(default_factory=dict)

    def add(self, shape: DepthwiseShape, row: int, instruction: str, taps: range) -> None:
        """Products of a row of outputs with the words of these kernel columns."""
        for index, tap in enumerate(taps):
            for column in range(shape.columns):
                products = self.products.setdefault(column * shape.stride_x + tap, [])
                products.append(TapProduct(instruction, row * shape.columns + column, index))


def c_products(shape: DepthwiseShape) -> list[str]:
    """The sums of a block as C statements over `tile`, `weights` and `sum` (templates/depthwise_block.c.j2)."""
    lines = []
    base = 0
    for one in shape.passes:
        for column, products in sorted(one.products.items()):
            for product in products:
                target = f"sum[{product.sum}]"
                lines.append(
                    f"{target} = dsp_{product.instruction}(tile[{one.pair} * pair + {column}], "
                    f"weights[{base + product.word}], {target});"
                )
        base += len(one.words)
    return lines
