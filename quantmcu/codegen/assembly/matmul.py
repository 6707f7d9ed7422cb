"""Generates the block functions of the matrix product kernels (firmware/kernels/matmul.h)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from quantmcu.codegen.assembly.dual_issue import order_for_dual_issue
from quantmcu.codegen.assembly.interleave import interleave_for_dual_issue
from quantmcu.codegen.assembly.products import Extend, Load, Product, Products
from quantmcu.codegen.assembly.single_issue import order_for_single_issue

_TILE, _WEIGHTS = "r0", "r1"
_OTHERS = [f"r{number}" for number in range(2, 13)] + ["lr"]

# Fields of qmcu_matmul_job, in bytes.
_JOB = {"pieces": 0, "weights": 4, "weights_end": 8, "output": 12, "groups": 16, "pitch": 20, "step": 24, "zero_point": 28}
# Words on the stack. `block` is the output of the current block of channels, `next` the next entry of the list of pieces.
_FRAME = {name: 4 * index for index, name in enumerate((*_JOB, "block", "next", "unused"))}
_FRAME_BYTES = 4 * len(_FRAME)


class Scheme(Enum):
    """How weights and pixels are multiplied (firmware/kernels/matmul.h)."""

    HALF = "half"  # half-extension: one word for four weights
    WIDE = "wide"  # int16 weights: two words for four weights


@dataclass(frozen=True)
class BlockKernel:
    """A block function: `channels` x `pixels` sums in registers.

    Attributes:
        dual_issue: ordered for Cortex-M7, else for Cortex-M4.
        groups: groups of four inputs in a piece, which is the unrolled code.
        single_piece: an output's inputs are one piece.
        pixel_bytes, group_bytes, half_bytes: in the tile, from a pixel to the next, from a group of four inputs to the next, and
            between the two words of a group.
    """

    dual_issue: bool
    scheme: Scheme
    channels: int
    pixels: int
    groups: int
    single_piece: bool
    pixel_bytes: int
    group_bytes: int
    half_bytes: int

    @property
    def symbol(self) -> str:
        """C name."""
        core = "m7" if self.dual_issue else "m4"
        once = "once" if self.single_piece else "loop"
        return (
            f"qmcu_matmul_{core}_{self.scheme.value}_{self.channels}x{self.pixels}_{4 * self.groups}{once}"
            f"_{self.pixel_bytes}_{self.group_bytes}_{self.half_bytes}"
        )

    @property
    def weight_words(self) -> int:
        """Words of the weights of one channel and group."""
        return 1 if self.scheme is Scheme.HALF else 2

    @property
    def largest_offset(self) -> int:
        """Largest offset of a load; instructions hold 12 bits."""
        tile = (self.pixels - 1) * self.pixel_bytes + (self.groups - 1) * self.group_bytes + self.half_bytes
        return max(tile, 4 * self.channels * self.weight_words * self.groups)


def generate_block_kernel(kernel: BlockKernel) -> list[str]:
    """The function's body: instructions and labels, one a line.

    Raises:
        ValueError: the block needs more registers, or larger offsets, than there are.
    """
    if kernel.largest_offset > 4095:
        raise ValueError(f"{kernel.symbol}: offset {kernel.largest_offset} is beyond the instructions' 4095")
    return _Generator(kernel).lines()


class _Generator:
    def __init__(self, kernel: BlockKernel) -> None:
        self.kernel = kernel
        count = kernel.channels * kernel.pixels
        sums = _OTHERS[-count:]
        self.data = _OTHERS[:-count]
        if len(self.data) < 4:
            raise ValueError(f"{kernel.symbol}: {len(self.data)} registers are too few for operands")
        # sums[channel][pixel]. The biases are loaded into the first sums, which have ascending registers.
        self.sums = [[sums[p * kernel.channels + c] for p in range(kernel.pixels)] for c in range(kernel.channels)]

    def lines(self) -> list[str]:
        """The whole function."""
        k = self.kernel
        body = self._products()
        order: Callable[[Products, list[str]], list[str]]
        order = order_for_dual_issue if k.dual_issue else order_for_single_issue
        piece_bytes = 4 * k.channels * k.weight_words * k.groups
        lines = [
            *self._entry(),
            ".balign 4",
            "1: @ a group of pixels",
            f"ldr.w {_WEIGHTS}, [sp, #{_FRAME['weights']}]",
            f"ldr.w r2, [sp, #{_FRAME['output']}]",
            f"str.w r2, [sp, #{_FRAME['block']}]",
            ".balign 4",
            "2: @ a block of channels",
            *self._start_block(),
        ]
        if not k.single_piece:
            lines += [".balign 4", "3: @ a piece of the inputs"]
        lines += order(body, self.data)
        lines += [f"add.w {_WEIGHTS}, {_WEIGHTS}, #{piece_bytes}"]
        if not k.single_piece:
            lines += self._next_piece()
        lines += self._finish_block()
        lines += self._next_group()
        lines += [f"add.w sp, sp, #{_FRAME_BYTES}", "pop {r4-r11, pc}"]
        return lines

    def _entry(self) -> list[str]:
        """Saves registers and copies the job to the stack."""
        names = list(_JOB)
        registers = ["r1", "r2", "r3", "r4"]
        lines = ["push {r4-r11, lr}", f"sub.w sp, sp, #{_FRAME_BYTES}"]
        for start in range(0, len(names), 4):
            part = list(zip(names[start : start + 4], registers, strict=False))
            lines += [f"ldr.w {register}, [r0, #{_JOB[name]}]" for name, register in part]
            lines += [f"str.w {register}, [sp, #{_FRAME[name]}]" for name, register in part]
        return lines

    def _start_block(self) -> list[str]:
        """The first piece's address, and the biases."""
        k = self.kernel
        biases = [row[0] for row in self.sums]
        a = self.data[0]
        lines = [f"ldr.w {a}, [sp, #{_FRAME['pieces']}]"]
        lines += _load_many(_WEIGHTS, biases)
        if k.single_piece:
            return [*lines, f"ldr.w {_TILE}, [{a}]"]
        lines += [f"ldr.w {_TILE}, [{a}], #4", f"str.w {a}, [sp, #{_FRAME['next']}]"]
        return lines + [f"mov.w {row[p]}, {row[0]}" for row in self.sums for p in range(1, k.pixels)]

    def _products(self) -> Products:
        k = self.kernel
        block = Products()
        started: set[str] = set()
        for group in range(k.groups):
            for half in range(2):
                for p in range(k.pixels):
                    offset = p * k.pixel_bytes + group * k.group_bytes + half * k.half_bytes
                    block.values[f"x{group}_{half}_{p}"] = Load(_TILE, offset)
                for c in range(k.channels):
                    block.values[f"w{group}_{half}_{c}"] = self._weight(group, half, c)
            for first in range(0, k.channels, 2):
                for half in range(2):
                    # The last pixel first where sums start: the first one's registers hold the biases until then.
                    for p in reversed(range(k.pixels)):
                        for c in range(first, min(first + 2, k.channels)):
                            register = self.sums[c][p]
                            fresh = k.single_piece and register not in started
                            started.add(register)
                            addend = self.sums[c][0] if fresh else register
                            block.products.append(
                                Product(register, addend, f"w{group}_{half}_{c}", f"x{group}_{half}_{p}")
                            )
        return block

    def _weight(self, group: int, half: int, channel: int) -> Load | Extend:
        k = self.kernel
        if k.scheme is Scheme.HALF:
            if half == 1:
                return Extend(f"w{group}_0_{channel}")
            return Load(_WEIGHTS, 4 * (group * k.channels + channel))
        return Load(_WEIGHTS, 4 * ((2 * group + half) * k.channels + channel))

    def _next_piece(self) -> list[str]:
        a = self.data[0]
        return [
            f"ldr.w {a}, [sp, #{_FRAME['next']}]",
            f"ldr.w {_TILE}, [{a}], #4",
            f"str.w {a}, [sp, #{_FRAME['next']}]",
            f"cmp.w {_TILE}, #0",
            "bne.w 3b",
        ]

    def _finish_block(self) -> list[str]:
        """Requantizes and stores the sums, and goes on to the next block of channels."""
        k = self.kernel
        zero_point, out, *multipliers = self.data
        pitch = _TILE
        lines = [f"ldr.w {zero_point}, [sp, #{_FRAME['zero_point']}]", f"ldr.w {out}, [sp, #{_FRAME['block']}]"]
        if k.pixels > 1:
            lines.append(f"ldr.w {pitch}, [sp, #{_FRAME['pitch']}]")
        for first in range(0, k.channels, len(multipliers)):
            rows = self.sums[first : first + len(multipliers)]
            lines += _load_many(_WEIGHTS, multipliers[: len(rows)])
            for multiplier, row in zip(multipliers, rows, strict=False):
                lines += [f"smmlar {register}, {register}, {multiplier}, {zero_point}" for register in row]
        lines += [f"usat {register}, #8, {register}" for row in self.sums for register in row]
        lines += [f"add.w {zero_point}, {out}, #{k.channels}", f"str.w {zero_point}, [sp, #{_FRAME['block']}]"]
        for p in range(k.pixels):
            if p > 0:
                lines.append(f"add.w {out}, {out}, {pitch}")
            lines += [f"strb.w {self.sums[c][p]}, [{out}, #{c}]" for c in range(k.channels)]
        lines.append(f"ldr.w {zero_point}, [sp, #{_FRAME['weights_end']}]")
        if k.dual_issue:
            lines = interleave_for_dual_issue(lines)
        return [*lines, f"cmp.w {_WEIGHTS}, {zero_point}", "bne.w 2b"]

    def _next_group(self) -> list[str]:
        """Moves the list of pieces and the output on by a group of pixels."""
        k = self.kernel
        lines = [
            f"ldr.w r2, [sp, #{_FRAME['pieces']}]",
            f"ldr.w r3, [sp, #{_FRAME['step']}]",
            "4: @ every piece lies a group further",
            "ldr.w r4, [r2]",
            "cbz r4, 5f",
            "add.w r4, r4, r3",
            "str.w r4, [r2], #4",
            "b.n 4b",
            "5:",
            f"ldr.w r2, [sp, #{_FRAME['output']}]",
            f"ldr.w r3, [sp, #{_FRAME['pitch']}]",
        ]
        lines += ["add.w r2, r2, r3"] * k.pixels
        return [
            *lines,
            f"str.w r2, [sp, #{_FRAME['output']}]",
            f"ldr.w r4, [sp, #{_FRAME['groups']}]",
            "subs.w r4, r4, #1",
            f"str.w r4, [sp, #{_FRAME['groups']}]",
            "bne.w 1b",
        ]


def _load_many(base: str, registers: list[str]) -> list[str]:
    """Loads words into ascending registers and moves the base on."""
    if len(registers) == 1:
        return [f"ldr.w {registers[0]}, [{base}], #4"]
    return [*(f"ldr.w {r}, [{base}, #{4 * i}]" for i, r in enumerate(registers)),
            f"add.w {base}, {base}, #{4 * len(registers)}"]
