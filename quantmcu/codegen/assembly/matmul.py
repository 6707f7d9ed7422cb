"""Generates the block functions of the matrix product kernels (firmware/kernels/matmul.h)."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

from quantmcu.codegen.assembly.block_kernel import LARGEST_OFFSET, BlockKernel, Control, Scheme
from quantmcu.codegen.assembly.dual_issue import order_for_dual_issue
from quantmcu.codegen.assembly.interleave import interleave_for_dual_issue
from quantmcu.codegen.assembly.products import Extend, Load, LowNibbles, Product, Products
from quantmcu.codegen.assembly.single_issue import cycles_of_single_issue, order_for_single_issue

_TILE, _WEIGHTS = "r0", "r1"
_OTHERS = [f"r{number}" for number in range(2, 13)] + ["lr"]

# Fields of qmcu_matmul_job, in bytes.
_JOB = {
    "pieces": 0,
    "weights": 4,
    "weights_end": 8,
    "output": 12,
    "groups": 16,
    "pitch": 20,
    "step": 24,
    "zero_point": 28,
    "corrections": 32,
}
# Words on the stack: the job; `block`, the output of the current block of channels; `next`, the next entry of the list
# of pieces, or the end of the only one; the list.
_FRAME = {name: 4 * index for index, name in enumerate((*_JOB, "block", "next"))}
_LIST = 4 * len(_FRAME)
_SAVED_WORDS = 9


# Cycles a group of four inputs that operands come too late on Cortex-M7, in blocks of two channels (`dual_issue`).
_LOST_FOR_LACK_OF_REGISTERS = {
    (Scheme.HALF, 4): 1,
    (Scheme.RESTORED, 4): 1,
    (Scheme.NIBBLE, 4): 1,
    (Scheme.PLAIN, 4): 3,
    (Scheme.PLAIN, 3): 2,
}


@cache
def cycles_of_group(kernel: BlockKernel) -> float:
    """Cycles of the products of a group of four inputs, loads and extensions included, by the core's rules."""
    products = 2 * kernel.channels * kernel.pixels
    if kernel.dual_issue:
        lost = _LOST_FOR_LACK_OF_REGISTERS.get((kernel.scheme, kernel.pixels), 0)
        return max(products, (products + kernel.operands_of_group) / 2) + lost
    short, long = (
        cycles_of_single_issue(_Generator(replace(kernel, control=Control.UNROLLED, groups=groups, pieces=1)).body())
        for groups in (4, 8)
    )
    return (long - short) / 4


def describe_registers(kernel: BlockKernel) -> str:
    """What the registers hold during the products."""
    generator = _Generator(kernel)
    sums = [
        f"{register} channel {c}, pixel {p}" for c, row in enumerate(generator.sums) for p, register in enumerate(row)
    ]
    operands = f"{generator.data[0]} to {generator.data[-1]}"
    return f"{_TILE}: tile, {_WEIGHTS}: weights, {operands}: operands; sums: {'; '.join(sums)}"


@cache
def generate_block_kernel(kernel: BlockKernel) -> tuple[str, ...]:
    """The function's body: instructions and labels, one a line.

    Raises:
        ValueError: the block needs more registers, or larger offsets, than there are.
    """
    if not kernel.fits_offsets:
        raise ValueError(f"{kernel.symbol}: offsets beyond {LARGEST_OFFSET}")
    return tuple(_Generator(kernel).lines())


class _Generator:
    def __init__(self, kernel: BlockKernel) -> None:
        self.kernel = kernel
        count = kernel.channels * kernel.pixels
        sums = _OTHERS[-count:]
        self.data = _OTHERS[:-count]
        if len(self.data) < 4:
            raise ValueError(f"{kernel.symbol}: {len(self.data)} registers are too few for operands")
        self.sums = [[sums[p * kernel.channels + c] for p in range(kernel.pixels)] for c in range(kernel.channels)]
        words = len(_FRAME) + kernel.pieces + (1 if kernel.control is Control.LOOP else 0)
        self.frame_bytes = 4 * (words + (words + _SAVED_WORDS) % 2)

    def lines(self) -> list[str]:
        """The whole function."""
        k = self.kernel
        body = self.body()
        if k.control is not Control.UNROLLED:
            body = [".balign 4", "3: @ a part of the inputs", *body, *self._next_part()]
        finish, is_last = self._finish_block()
        next_block = [*finish, *self._start_block(), is_last]
        if k.dual_issue:
            next_block = interleave_for_dual_issue(next_block)
        return [
            *self._entry(),
            ".balign 4",
            "1: @ a group of pixels",
            f"ldr.w {_WEIGHTS}, [sp, #{_FRAME['weights']}]",
            f"ldr.w r2, [sp, #{_FRAME['output']}]",
            f"str.w r2, [sp, #{_FRAME['block']}]",
            *self._start_group(),
            *self._start_block(first=True),
            ".balign 4",
            "2: @ a block of channels",
            *body,
            "@ multiply, round, saturate and store the sums; begin the next block",
            *next_block,
            "bne.w 2b",
            "@ the next group of pixels",
            *self._next_group(),
            f"add.w sp, sp, #{self.frame_bytes}",
            "pop {r4-r11, pc}",
        ]

    def body(self) -> list[str]:
        """The unrolled products."""
        if not self.kernel.dual_issue:
            return order_for_single_issue(self._products(), self.data)
        lines = order_for_dual_issue(self._products(), self.data)
        # With few pixels there are as many other instructions as products: pair them with each other too.
        return interleave_for_dual_issue(lines) if self.kernel.pixels <= 2 else lines

    def _entry(self) -> list[str]:
        """Saves registers and copies the job, with its list of pieces, to the stack."""
        k = self.kernel
        lines = [
            "@ the job and its list of pieces go to the stack",
            "push {r4-r11, lr}",
            f"sub.w sp, sp, #{self.frame_bytes}",
        ]
        lines += _copy([(f"[r0, #{_JOB[name]}]", f"[sp, #{_FRAME[name]}]") for name in _JOB])
        lines.append(f"ldr.w r1, [sp, #{_FRAME['pieces']}]")
        entries = k.pieces + (1 if k.control is Control.LOOP else 0)
        return lines + _copy([(f"[r1, #{4 * i}]", f"[sp, #{_LIST + 4 * i}]") for i in range(entries)])

    def _start_group(self) -> list[str]:
        """The end of the only piece is where the next group of pixels starts."""
        if self.kernel.control is not Control.LINEAR:
            return []
        return [
            f"ldr.w r2, [sp, #{_LIST}]",
            f"ldr.w r3, [sp, #{_FRAME['step']}]",
            "add.w r2, r2, r3",
            f"str.w r2, [sp, #{_FRAME['next']}]",
        ]

    def _start_block(self, first: bool = False) -> list[str]:
        """The first piece's address and the biases; they stand behind the multipliers of the block before."""
        k = self.kernel
        skipped = 0 if first else self._parameters_end
        lines = [f"ldr.w {row[0]}, [{_WEIGHTS}, #{skipped + 4 * c}]" for c, row in enumerate(self.sums)]
        is_corrected = k.scheme is Scheme.NIBBLE
        lines += self._add_corrections() if is_corrected else []
        lines += [f"ldr.w {_TILE}, [sp, #{_LIST}]", f"add.w {_WEIGHTS}, {_WEIGHTS}, #{skipped + 4 * k.channels}"]
        if k.control is Control.UNROLLED:
            return lines
        if k.control is Control.LOOP:
            second = self.data[-1]
            lines += [f"add.w {second}, sp, #{_LIST + 4}", f"str.w {second}, [sp, #{_FRAME['next']}]"]
        if is_corrected:
            return lines
        return lines + [f"mov.w {row[p]}, {row[0]}" for row in self.sums for p in range(1, k.pixels)]

    def _add_corrections(self) -> list[str]:
        """Starts each sum with the bias and the correction of its pixel."""
        lines = [f"ldr.w {_TILE}, [sp, #{_FRAME['corrections']}]"]
        pixels = list(reversed(range(self.kernel.pixels)))  # the first one's registers hold the biases
        for pair in (pixels[i : i + 2] for i in range(0, len(pixels), 2)):
            registers = dict(zip(pair, (self.data[1], self.data[3]), strict=False))
            lines += [f"ldr.w {register}, [{_TILE}, #{4 * p}]" for p, register in registers.items()]
            lines += [f"add.w {row[p]}, {row[0]}, {register}" for p, register in registers.items() for row in self.sums]
        return lines

    @property
    def _parameters(self) -> int:
        """Where the multipliers lie, from the weights register on, once the sums are complete."""
        return self.kernel.weight_bytes if self.kernel.control is Control.UNROLLED else 0

    @property
    def _parameters_end(self) -> int:
        return self._parameters + 4 * self.kernel.channels * self.kernel.parameter_words

    def _parameter(self, register: str, index: int, channel: int) -> str:
        """Loads a channel's parameter; the multiplier is the last."""
        return f"ldr.w {register}, [{_WEIGHTS}, #{self._parameters + 4 * (index * self.kernel.channels + channel)}]"

    def _products(self) -> Products:
        k = self.kernel
        block = Products()
        runs = k.pieces if k.control is Control.UNROLLED else 1
        block.addresses = {(_TILE, run): f"ldr.w {_TILE}, [sp, #{_LIST + 4 * run}]" for run in range(1, runs)}
        started = {register for row in self.sums for register in row} if k.scheme is Scheme.NIBBLE else set()
        for run in range(runs):
            for group in range(k.groups):
                self._add_group(block, run, group, started)
        return block

    def _add_group(self, block: Products, run: int, group: int, started: set[str]) -> None:
        k = self.kernel
        index = run * k.groups + group
        for half in range(2):
            for p, pixel_offset in enumerate(k.pixel_offsets):
                offset = pixel_offset + group * k.group_bytes + half * k.half_bytes
                block.values[f"x{index}_{half}_{p}"] = Load(_TILE, offset, run)
        for c in range(k.channels):
            block.values |= self._nibbles(index, c) if k.scheme is Scheme.NIBBLE else self._weights(index, c)
        comment = f"inputs {4 * group} to {4 * group + 3} of {'piece ' + str(run) if k.pieces > 1 else 'the part'}"
        for first in range(0, k.channels, 2):
            for half in range(2):
                # The first pixel last: its sums' registers hold the biases from which the others start.
                for p in reversed(range(k.pixels)):
                    for c in range(first, min(first + 2, k.channels)):
                        register = self.sums[c][p]
                        fresh = k.control is Control.UNROLLED and register not in started
                        started.add(register)
                        addend = self.sums[c][0] if fresh else register
                        left, right = f"w{index}_{half}_{c}", f"x{index}_{half}_{p}"
                        instruction = f"smlad {register}, {{left}}, {{right}}, {addend}"
                        block.products.append(Product(instruction, left, right, comment))
                        comment = ""

    def _weights(self, index: int, channel: int) -> dict[str, Load | Extend]:
        """The factors of the two words of a group: w<group>_0_<channel> and w<group>_1_<channel>."""
        k = self.kernel
        first, second = f"w{index}_0_{channel}", f"w{index}_1_{channel}"
        word = Load(_WEIGHTS, 4 * (index * k.channels + channel))
        if k.is_half:
            return {first: word, second: Extend(first)}
        if k.scheme is Scheme.PLAIN:
            source, again = f"v{index}_0_{channel}", f"v{index}_1_{channel}"
            if not k.loads_weights_twice:
                return {source: word, first: Extend(source), second: Extend(source, 8)}
            return {source: word, first: Extend(source), again: word, second: Extend(again, 8)}
        words = [Load(_WEIGHTS, 4 * ((2 * index + half) * k.channels + channel)) for half in range(2)]
        return {first: words[0], second: words[1]}

    def _nibbles(self, index: int, channel: int) -> dict[str, Load | Extend]:
        """The same for 4-bit weights: bytes n0 + 16 n1 of an even channel and of the next one take turns in a word."""
        bytes_, word = f"w{index}_0_{channel}", f"v{index}_{channel // 2}"
        load = Load(_WEIGHTS, 4 * (index * self.kernel.weight_words + channel // 2))
        of_channel = Extend(word, 8 * (channel % 2), is_signed=False)
        return {word: load, bytes_: of_channel, f"w{index}_1_{channel}": LowNibbles(bytes_)}

    def _next_part(self) -> list[str]:
        k = self.kernel
        a = self.data[0]
        lines = [f"ldr.w {a}, [sp, #{_FRAME['next']}]", f"add.w {_WEIGHTS}, {_WEIGHTS}, #{k.weight_bytes}"]
        if k.control is Control.LINEAR:
            lines += [f"add.w {_TILE}, {_TILE}, #{k.groups * k.group_bytes}", f"cmp.w {_TILE}, {a}"]
        else:
            lines += [f"ldr.w {_TILE}, [{a}], #4", f"str.w {a}, [sp, #{_FRAME['next']}]", f"cmp.w {_TILE}, #0"]
        return [*lines, "bne.w 3b"]

    def _finish_block(self) -> tuple[list[str], str]:
        """Requantizes and stores the sums; also returns the comparison that tells whether it was the last block."""
        k = self.kernel
        zero_point, out, *multipliers = self.data
        pitch = _TILE
        lines = [f"ldr.w {zero_point}, [sp, #{_FRAME['zero_point']}]", f"ldr.w {out}, [sp, #{_FRAME['block']}]"]
        if k.pixels > 1:
            lines.append(f"ldr.w {pitch}, [sp, #{_FRAME['pitch']}]")
        for first in range(0, k.channels, len(multipliers)):
            pairs = list(zip(multipliers, self.sums[first : first + len(multipliers)], strict=False))
            if k.scheme is Scheme.RESTORED:
                lines += [self._parameter(least, 0, first + i) for i, (least, _) in enumerate(pairs)]
                lines += [f"add.w {sum_}, {least}, {sum_}, lsr #8" for least, row in pairs for sum_ in row]
            last = k.parameter_words - 1
            lines += [self._parameter(multiplier, last, first + i) for i, (multiplier, _) in enumerate(pairs)]
            if k.right_shift:
                lines += [f"asr.w {sum_}, {sum_}, #{k.right_shift}" for _, row in pairs for sum_ in row]
            lines += [f"smmlar {sum_}, {sum_}, {multiplier}, {zero_point}" for multiplier, row in pairs for sum_ in row]
        lines += [f"usat {register}, #8, {register}" for row in self.sums for register in row]
        # Addresses first: a store right after the addition would wait for it.
        rows = [out, *([zero_point, *multipliers] * k.pixels)[: k.pixels - 1]]
        lines += [f"add.w {row}, {above}, {pitch}" for above, row in pairwise(rows)]
        for p, row in enumerate(rows):
            lines += [f"strb.w {self.sums[c][p]}, [{row}, #{c}]" for c in range(k.channels)]
        end = multipliers[0]
        lines += [
            f"add.w {out}, {out}, #{k.channels}",
            f"add.w {zero_point}, {_WEIGHTS}, #{self._parameters_end}",
            f"str.w {out}, [sp, #{_FRAME['block']}]",
            f"ldr.w {end}, [sp, #{_FRAME['weights_end']}]",
        ]
        return lines, f"cmp.w {zero_point}, {end}"

    def _next_group(self) -> list[str]:
        """Moves the list of pieces and the output on by a group of pixels."""
        k = self.kernel
        lines = [f"ldr.w r3, [sp, #{_FRAME['step']}]"]
        for i in range(k.pieces):
            place = f"[sp, #{_LIST + 4 * i}]"
            lines += [f"ldr.w r2, {place}", "add.w r2, r2, r3", f"str.w r2, {place}"]
        lines += [f"ldr.w r2, [sp, #{_FRAME['output']}]", f"ldr.w r3, [sp, #{_FRAME['pitch']}]"]
        lines += ["add.w r2, r2, r3"] * k.pixels
        if k.scheme is Scheme.NIBBLE:
            place = f"[sp, #{_FRAME['corrections']}]"
            lines += [f"ldr.w r3, {place}", f"add.w r3, r3, #{4 * k.pixels}", f"str.w r3, {place}"]
        return [
            *lines,
            f"str.w r2, [sp, #{_FRAME['output']}]",
            f"ldr.w r4, [sp, #{_FRAME['groups']}]",
            "subs.w r4, r4, #1",
            f"str.w r4, [sp, #{_FRAME['groups']}]",
            "bne.w 1b",
        ]


def _copy(places: list[tuple[str, str]]) -> list[str]:
    """Copies words, four at a time."""
    registers = ("r2", "r3", "r4", "r5")
    lines = []
    for start in range(0, len(places), len(registers)):
        part = list(zip(registers, places[start : start + len(registers)], strict=False))
        lines += [f"ldr.w {register}, {source}" for register, (source, _) in part]
        lines += [f"str.w {register}, {target}" for register, (_, target) in part]
    return lines
