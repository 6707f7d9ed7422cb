"""Geometry and data layout common to the matrix product kernels (firmware/kernels/matmul.h)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise, product
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from quantmcu.codegen.kernel import FieldValue, Reference, StepContext
from quantmcu.program.steps import Convolution

MAX_PIECES = 64
_TILE_BYTES = 1024
_TILE_PIXELS = 64


@dataclass(frozen=True)
class Geometry:
    """A convolution as the drivers see it; the fields of `qmcu_matmul_params` have the same names.

    A 1x1 kernel at stride 1 has the whole map as one row. `pixelwise`: driven by qmcu_matmul_drive_pixels, without the
    ring of rows.
    """

    pixelwise: bool
    input_height: int
    input_width: int
    input_channels: int
    output_height: int
    output_width: int
    output_channels: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pad_top: int
    pad_left: int

    @classmethod
    def of(cls, context: StepContext) -> Geometry:
        """The geometry of a step."""
        step = convolution_of(context)
        _, height, width, channels = context.inputs[0].shape
        _, output_height, output_width, output_channels = context.output.shape
        pixelwise = step.kernel == (1, 1) and step.pads == (0, 0, 0, 0)
        if pixelwise and step.strides == (1, 1):
            height, width = 1, height * width
            output_height, output_width = 1, output_height * output_width
        return cls(
            pixelwise, height, width, channels, output_height, output_width, output_channels,
            step.kernel, step.strides, step.dilations, step.pads[0], step.pads[1],
        )  # fmt: skip

    @property
    def column_words(self) -> int:
        """Tile words of one pixel: channels are padded to groups of four, of two words each."""
        return 2 * -(-self.input_channels // 4)

    @property
    def ring_rows(self) -> int:
        """Rows of the padded map in the tile."""
        return (self.kernel[0] - 1) * self.dilations[0] + 1

    @property
    def ring_columns(self) -> int:
        """Columns of the padded map in the tile."""
        return (self.output_width - 1) * self.strides[1] + (self.kernel[1] - 1) * self.dilations[1] + 1

    @property
    def run_count(self) -> int:
        """Runs of a receptive field: one a kernel row, or one a tap when columns are dilated."""
        return self.kernel[0] * (1 if self.dilations[1] == 1 else self.kernel[1])

    @property
    def run_groups(self) -> int:
        """Groups of four inputs of a run."""
        taps = self.kernel[1] if self.dilations[1] == 1 else 1
        return taps * self.column_words // 2

    @property
    def depth(self) -> int:
        """Products summed up for one output, those with padded channels included."""
        return self.kernel[0] * self.kernel[1] * self.column_words * 2

    @property
    def outputs(self) -> int:
        """Output codes."""
        return self.output_height * self.output_width * self.output_channels

    @property
    def input_rows(self) -> int:
        """Rows of the padded map that are widened into the ring."""
        return min(self.ring_rows, self.strides[0]) * (self.output_height - 1) + self.ring_rows

    def tile_pixels(self, multiple: int) -> int:
        """Pixels in the tile of a pixel-wise kernel: as many as fit 1 KiB, but at least `multiple`."""
        fitting = min(_TILE_BYTES // (4 * self.column_words), _TILE_PIXELS, self.output_width)
        return max(fitting // multiple, 1) * multiple

    def tile_bytes(self, multiple: int) -> int:
        """Bytes of the tile."""
        pixels = self.tile_pixels(multiple) if self.pixelwise else self.ring_rows * self.ring_columns
        return 4 * self.column_words * pixels

    def in_place_order(self, multiple: int) -> int:
        """In which order pixels may be computed with the output at the input's address; the tile as of `tile_pixels`.

        Returns:
            1: from the first to the last, -1: from the last to the first, 0: in none, since output codes would lie on
            input codes that are read later.
        """
        if not self.pixelwise:
            return 1 if all(self._row_lies_before_unread_rows(y) for y in range(self.output_height)) else 0
        if self.strides == (1, 1):
            return 1 if self.output_channels <= self.input_channels else -1
        chunks = list(self._chunks(multiple))
        if all(before.written.stop <= after.read.start for before, after in pairwise(chunks)):
            return 1
        return -1 if all(after.written.start >= before.read.stop for before, after in pairwise(chunks)) else 0

    def _row_lies_before_unread_rows(self, y: int) -> bool:
        unread = min(max(y * self.strides[0] + self.ring_rows - self.pad_top, 0), self.input_height)
        written = (y + 1) * self.output_width * self.output_channels
        return unread == self.input_height or written <= unread * self.input_width * self.input_channels

    def _chunks(self, multiple: int) -> Iterator[_Chunk]:
        size = self.tile_pixels(multiple)
        for y, x in product(range(self.output_height), range(0, self.output_width, size)):
            end = min(x + size, self.output_width)
            row = y * self.strides[0] * self.input_width
            yield _Chunk(
                range((row + x * self.strides[1]) * self.input_channels,
                      (row + (end - 1) * self.strides[1] + 1) * self.input_channels),
                range((y * self.output_width + x) * self.output_channels,
                      (y * self.output_width + end) * self.output_channels),
            )  # fmt: skip


@dataclass(frozen=True)
class _Chunk:
    """Pixels that are in the tile together: the input codes read and the output codes written."""

    read: range
    written: range


_REACH: WeakKeyDictionary[Convolution, dict[int, int]] = WeakKeyDictionary()


def convolution_of(context: StepContext) -> Convolution:
    """The step, which is a convolution."""
    assert isinstance(context.step, Convolution)
    return context.step


def accumulator_reach(step: Convolution, highest_code: int) -> int:
    """Largest magnitude of an accumulator, remembered for the step."""
    known = _REACH.setdefault(step, {})
    if highest_code not in known:
        least, greatest = step.accumulator_bounds(highest_code)
        known[highest_code] = int(max(-least.min(), greatest.max()))
    return known[highest_code]


def unsupported_by_drivers(context: StepContext, weight_bits: Sequence[int] = (8,)) -> str | None:
    """What the drivers can't do, whatever the block function, which takes weights of `weight_bits`."""
    step = convolution_of(context)
    if step.groups != 1:
        return "convolutions without groups only"
    if context.inputs[0].bits != 8 or context.output.bits != 8:
        return "maps of 8 bits only"
    if step.weight_bits not in weight_bits:
        return f"weights of {' or '.join(map(str, weight_bits))} bits only"
    if step.requantize.saturates(accumulator_reach(step, context.inputs[0].highest_code)):
        return "accumulators that can't reach the saturation only"
    if Geometry.of(context).run_count > MAX_PIECES:
        return f"at most {MAX_PIECES} kernel rows (dilated: taps)"
    return None


def weight_groups(weight: NDArray[np.int8]) -> NDArray[np.int8]:
    """Weights [output channels, groups, 4] in the order of the tile, input channels padded with zeros."""
    channels = weight.shape[3]
    padded = np.pad(weight, ((0, 0), (0, 0), (0, 0), (0, -channels % 4)))
    return padded.reshape(padded.shape[0], -1, 4)


def weight_stream(
    words: NDArray[np.uint32], bias: NDArray[np.integer], parameters: Sequence[NDArray[np.integer]], block: int
) -> NDArray[np.uint32]:
    """The stream of blocks of `block` channels: biases, weights, parameters; the last may overlap the one before it.

    Args:
        words: uint32 [channels, groups, words a group]; word for word, the channels of a block are interleaved.
        bias, parameters: one entry a channel, as they are used by the kernel; the last are the multipliers.
        block: channels in a block, at most as many as there are.
    """
    table = np.concatenate([as_words(bias), words.reshape(len(words), -1), *map(as_words, parameters)], axis=1)
    return np.concatenate([table[start : start + block].T.reshape(-1) for start in block_starts(len(words), block)])


def block_starts(channels: int, block: int) -> list[int]:
    """First channels of the blocks."""
    return [*range(0, channels - block + 1, block), *([channels - block] if channels % block else [])]


def as_words(values: NDArray[np.integer]) -> NDArray[np.uint32]:
    """int32 [n] as uint32 [n, 1].

    Raises:
        OverflowError: a value does not fit.
    """
    if values.size and not -(2**31) <= int(values.min()) <= int(values.max()) < 2**31:
        raise OverflowError(f"{values.min()} .. {values.max()} does not fit int32")
    return values.astype(np.int32).view(np.uint32)[:, None]


@dataclass(frozen=True)
class TileLayout:
    """Fields of `qmcu_matmul_params` that say how inputs lie in the tile, see matmul.h."""

    tile_pixels: int
    backwards: int
    interleave: int
    phases: int
    row_words: int
    run_pieces: int
    piece_groups: int
    step: int
    block_words: int


def matmul_fields(
    step: Convolution, geometry: Geometry, layout: TileLayout, tile_words: int = 0
) -> dict[str, FieldValue]:
    """Fields of `qmcu_matmul_params`; `tile_words` only where corrections follow the tile."""
    q = step.requantize
    return {
        "weights": Reference("weights"),
        "input_height": geometry.input_height,
        "input_width": geometry.input_width,
        "input_channels": geometry.input_channels,
        "output_height": geometry.output_height,
        "output_width": geometry.output_width,
        "output_channels": geometry.output_channels,
        "kernel_height": geometry.kernel[0],
        "kernel_width": geometry.kernel[1],
        "stride_y": geometry.strides[0],
        "stride_x": geometry.strides[1],
        "dilation_y": geometry.dilations[0],
        "dilation_x": geometry.dilations[1],
        "pad_top": geometry.pad_top,
        "pad_left": geometry.pad_left,
        "input_zero_point": step.input_zero_point,
        "shift": q.shift,
        "zero_point": q.zero_point,
        "low": q.low,
        "high": q.high,
        **asdict(layout),
        "tile_words": tile_words,
    }
