"""What distinguishes one generated block function of the matrix product kernels from another."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

LARGEST_OFFSET = 4095  # of a load


class Scheme(Enum):
    """How weights and pixels are multiplied (firmware/kernels/matmul.h)."""

    HALF = "half"  # half-extension: one word for four weights
    RESTORED = "restored"  # the same, and the sums, 256 times too large, are divided before they are multiplied
    PLAIN = "plain"  # int8 weights, extended in two steps: one word for four weights
    WIDE = "wide"  # int16 weights: two words for four weights
    NIBBLE = "nibble"  # 4-bit weights: one word for four weights of two channels


class Control(Enum):
    """How the code goes through an output's inputs."""

    UNROLLED = "unrolled"  # all pieces one after the other
    LOOP = "loop"  # over the list of pieces
    LINEAR = "linear"  # over equal parts of a single piece


@dataclass(frozen=True)
class BlockKernel:
    """A block function: `channels` x `pixels` sums in registers.

    Attributes:
        dual_issue: ordered for Cortex-M7, else for Cortex-M4.
        groups: groups of four inputs that are unrolled: of a piece, or of a part of it.
        pieces: entries of the list of pieces.
        pixel_offsets: in the tile, bytes from the first pixel to each.
        group_bytes: from a group of four inputs to the next.
        half_bytes: between the two words of a group.
        right_shift: of the sums before they are multiplied.
    """

    dual_issue: bool
    scheme: Scheme
    control: Control
    channels: int
    pixels: int
    groups: int
    pieces: int
    pixel_offsets: tuple[int, ...]
    group_bytes: int
    half_bytes: int
    right_shift: int = 0

    @property
    def symbol(self) -> str:
        """C name: core, scheme, block, unrolled inputs and how often, layout of the tile."""
        core = "m7" if self.dual_issue else "m4"
        last = self.pixel_offsets[-1]
        equal = self.pixel_offsets == tuple(p * last // max(self.pixels - 1, 1) for p in range(self.pixels))
        pixels = str(self.pixel_offsets[1 % self.pixels]) if equal else "_".join(map(str, self.pixel_offsets))
        return (
            f"qmcu_matmul_{core}_{self.scheme.value}_{self.channels}x{self.pixels}"
            f"_{4 * self.groups}x{self.pieces}_{self.control.value}_{pixels}_{self.group_bytes}_{self.half_bytes}"
            f"{f'_asr{self.right_shift}' if self.right_shift else ''}"
        )

    @property
    def is_half(self) -> bool:
        """Whether it reads the tile of the half-extension."""
        return self.scheme in (Scheme.HALF, Scheme.RESTORED)

    @property
    def parameter_words(self) -> int:
        """Words of one channel behind the weights."""
        return 2 if self.scheme is Scheme.RESTORED else 1

    @property
    def weight_words(self) -> int:
        """Words of the weights of one group, all channels of the block together."""
        if self.scheme is Scheme.NIBBLE:
            return -(-self.channels // 2)
        return 2 * self.channels if self.scheme is Scheme.WIDE else self.channels

    @property
    def loads_weights_twice(self) -> bool:
        """Whether a plain word of weights can't stay in a register for its second extension."""
        return self.channels * self.pixels > 6

    @property
    def operands_of_group(self) -> int:
        """Loads and extensions of a group of four inputs."""
        weights = 2 * self.channels
        if self.scheme is Scheme.PLAIN:
            weights = (4 if self.loads_weights_twice else 3) * self.channels
        if self.scheme is Scheme.NIBBLE:
            weights += self.weight_words
        return 2 * self.pixels + weights

    @property
    def code_of_group(self) -> int:
        """Bytes of code of an unrolled group of four inputs."""
        return 4 * (2 * self.channels * self.pixels + self.operands_of_group)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights that the unrolled code reads."""
        unrolled = self.groups * (self.pieces if self.control is Control.UNROLLED else 1)
        return 4 * self.weight_words * unrolled

    @property
    def fits_offsets(self) -> bool:
        """Whether all words can be addressed."""
        tile = max(self.pixel_offsets) + (self.groups - 1) * self.group_bytes + self.half_bytes
        return max(tile, self.weight_bytes + 16 * self.channels) <= LARGEST_OFFSET
