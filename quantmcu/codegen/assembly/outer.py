"""Generates the block functions of packed multiplication (firmware/kernels/packed_outer.h)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cache

from quantmcu.codegen.assembly.dual_issue import order_for_dual_issue
from quantmcu.codegen.assembly.interleave import interleave_for_dual_issue
from quantmcu.codegen.assembly.products import Load, Product, Products
from quantmcu.codegen.assembly.single_issue import cycles_of_single_issue, order_for_single_issue

CHANNELS = 4  # of a block: two words of weights, each of two channels
WORDS = 2  # of weights and of pixels for each input
_TILE, _WEIGHTS = "r0", "r1"
_SUMS = ("r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12")
_OPERANDS = ("r2", "r3", "r4", "lr")

# Fields of qmcu_packed_outer_job, in bytes; the frame on the stack starts with a copy.
_JOB = {
    name: 4 * index
    for index, name in enumerate(
        ("tile", "tile_end", "weights", "weights_end", "output", "pitch", "zero_point")
    )
}
_PART_END = 4 * len(_JOB)
_PARKED = _PART_END + 4  # two registers that the requantization frees
_TOTALS = _PARKED + 8  # sums of several parts
_SAVED_WORDS = 9
_HEADER_BYTES = 4 * (1 + CHANNELS)  # of a part
_STORES = {8: "str.w", 4: "strh.w", 2: "strb.w"}


@dataclass(frozen=True)
class OuterKernel:
    """A block function: 4 channels x 2 `fields` pixels, all in 64-bit sums.

    Attributes:
        dual_issue: ordered for Cortex-M7, else for Cortex-M4.
        weight_bits: 4 or 2, of signed weights without the least code.
        fields: pixels in a word of the tile, 2 or 3.
        output_bits: of the codes that it stores.
        shift: left shift of the requantization.
        inputs: unrolled.
        is_loop: the unrolled code runs several times for a part of the inputs.
        in_parts: fields are added up in 32-bit totals between parts of the inputs.
    """

    dual_issue: bool
    weight_bits: int
    fields: int
    output_bits: int
    shift: int
    inputs: int
    is_loop: bool
    in_parts: bool

    @property
    def symbol(self) -> str:
        """C name."""
        core = "m7" if self.dual_issue else "m4"
        control = ("loop" if self.is_loop else "unrolled") + ("_parts" if self.in_parts else "")
        shift = f"_shift{self.shift}" if self.shift else ""
        return (
            f"qmcu_packed_outer_{core}_w{self.weight_bits}_4x{self.pixels}_{self.inputs}_{control}"
            f"_o{self.output_bits}{shift}"
        )

    @property
    def pixels(self) -> int:
        """Pixels of a block."""
        return WORDS * self.fields

    @property
    def field_bits(self) -> int:
        """Room for the sum of one output in a 64-bit sum."""
        return field_bits(self.weight_bits, self.fields)

    @property
    def code_bytes(self) -> int:
        """Of the unrolled products."""
        return CODE_OF_INPUT * self.inputs


CODE_OF_INPUT = 4 * (WORDS * WORDS + 2 * WORDS)
"""Bytes of the unrolled code for one input."""


def field_bits(weight_bits: int, fields: int) -> int:
    """Bits of the sum of one output: the lower word starts with `weight_bits` idle bits."""
    return (32 - weight_bits) // fields


@cache
def cycles_of_input(dual_issue: bool, long_multiply_cycles: int = 1) -> float:
    """Cycles of the products of one input with their loads, by the core's rules.

    Args:
        dual_issue: Cortex-M7, else Cortex-M4, where it always takes one cycle.
        long_multiply_cycles: of each SMLAL.
    """
    if dual_issue:
        return float(WORDS * WORDS * long_multiply_cycles)
    products = _products(2)
    return cycles_of_single_issue(order_for_single_issue(products, list(_OPERANDS))) / 2


@cache
def generate_outer_kernel(kernel: OuterKernel) -> tuple[str, ...]:
    """The function's body: instructions and labels, one a line."""
    return tuple(_Generator(kernel).lines())


def describe_registers(kernel: OuterKernel) -> str:
    """What the registers hold during the products."""
    sums = [
        f"{low}:{high} weights {i}, pixels {j}" for i, row in enumerate(_sums()) for j, (low, high) in enumerate(row)
    ]
    operands = f"{', '.join(_OPERANDS[:-1])} and {_OPERANDS[-1]}"
    return f"{_TILE}: tile, {_WEIGHTS}: weights, {operands}: operands; sums of words: {'; '.join(sums)}"


def _sums() -> list[list[tuple[str, str]]]:
    """Lower and upper register of each sum, by word of weights and word of pixels."""
    pairs = list(zip(_SUMS[::2], _SUMS[1::2], strict=True))
    return [pairs[:WORDS], pairs[WORDS:]]


def _products(inputs: int) -> Products:
    """Every word of weights with every word of pixels, in an order that frees operands early."""
    block, sums = Products(), _sums()
    for k in range(inputs):
        for word in range(WORDS):
            offset = 4 * (WORDS * k + word)
            block.values[f"x{k}_{word}"] = Load(_TILE, offset)
            block.values[f"w{k}_{word}"] = Load(_WEIGHTS, offset)
        for i, j in ((0, 0), (1, 0), (1, 1), (0, 1)):
            low, high = sums[i][j]
            block.products.append(
                Product(
                    f"smlal {low}, {high}, {{left}}, {{right}}", f"w{k}_{i}", f"x{k}_{j}", "" if i + j else f"input {k}"
                )
            )
    return block


class _Pool:
    """Registers that are free, the one that was used longest ago first."""

    def __init__(self, registers: tuple[str, ...]) -> None:
        self._free = deque(registers)

    def __len__(self) -> int:
        return len(self._free)

    def take(self) -> str:
        return self._free.popleft()

    def give(self, *registers: str) -> None:
        self._free.extend(registers)


class _Generator:
    def __init__(self, kernel: OuterKernel) -> None:
        self.kernel = kernel
        self.sums = _sums()
        words = _TOTALS // 4 + (CHANNELS * kernel.pixels if kernel.in_parts else 0)
        self.frame_bytes = 4 * (words + (words + _SAVED_WORDS) % 2)

    def lines(self) -> list[str]:
        """The whole function."""
        k = self.kernel
        block = [*self._ordered(self._start_part()), *self._inputs()]
        if k.in_parts:
            start = self._ordered([*self._start_totals(), *self._start_part()])
            block = [*start, "5: @ a part of the inputs", *self._inputs(), *self._finish_part()]
        return [
            *self._entry(),
            ".balign 4",
            "2: @ a block of channels",
            f"ldr.w {_TILE}, [sp, #{_JOB['tile']}]",
            *block,
            "@ requantize, pack and store; begin the next block",
            *self._ordered(self._finish()),
            "bne.w 2b",
            f"add.w sp, sp, #{self.frame_bytes}",
            "pop {r4-r11, pc}",
        ]

    def _ordered(self, lines: list[str], is_loop: bool = False) -> list[str]:
        return interleave_for_dual_issue(lines, is_loop=is_loop) if self.kernel.dual_issue else lines

    def _entry(self) -> list[str]:
        """Saves registers and copies the job to the stack."""
        lines = ["push {r4-r11, lr}", f"sub.w sp, sp, #{self.frame_bytes}"]
        names, registers = list(_JOB), ("r2", "r3", "r4", "r5")
        for first in range(0, len(names), len(registers)):
            part = list(zip(registers, names[first : first + len(registers)], strict=False))
            lines += [f"ldr.w {register}, [r0, #{_JOB[name]}]" for register, name in part]
            lines += [f"str.w {register}, [sp, #{_JOB[name]}]" for register, name in part]
        return [*lines, f"ldr.w {_WEIGHTS}, [sp, #{_JOB['weights']}]"]

    def _start_part(self) -> list[str]:
        """The sums start such that no field ever becomes negative."""
        lines = [
            f"ldr.w {row[0][h]}, [{_WEIGHTS}, #{4 + 8 * i + 4 * h}]"
            for i, row in reversed(list(enumerate(self.sums)))
            for h in range(2)
        ]
        lines += [f"mov.w {row[1][h]}, {row[0][h]}" for row in self.sums[::-1] for h in range(2)]
        if self.kernel.in_parts and self.kernel.is_loop:
            end = _OPERANDS[0]
            lines += [
                f"ldr.w {end}, [{_WEIGHTS}]",
                f"add.w {end}, {end}, {_TILE}",
                f"str.w {end}, [sp, #{_PART_END}]",
            ]
        return [*lines, f"add.w {_WEIGHTS}, {_WEIGHTS}, #{_HEADER_BYTES}"]

    def _inputs(self) -> list[str]:
        """The products of all inputs, or of a part's."""
        k = self.kernel
        products, operands = _products(k.inputs), list(_OPERANDS)
        step = 4 * WORDS * k.inputs
        forward = [f"add.w {_WEIGHTS}, {_WEIGHTS}, #{step}"]
        if k.in_parts or k.is_loop:
            forward.append(f"add.w {_TILE}, {_TILE}, #{step}")
        body = (order_for_dual_issue if k.dual_issue else order_for_single_issue)(products, operands)
        if not k.is_loop:
            return [*body, *forward]
        end = _OPERANDS[0]
        last = _PART_END if k.in_parts else _JOB["tile_end"]
        forward += [f"ldr.w {end}, [sp, #{last}]", f"cmp.w {_TILE}, {end}"]
        return [".balign 4", "3: @ some inputs", *body, *forward, "bne.w 3b"]

    def _start_totals(self) -> list[str]:
        zero = _SUMS[0]
        places = range(_TOTALS, _TOTALS + 4 * CHANNELS * self.kernel.pixels, 4)
        return [f"mov.w {zero}, #0", *(f"str.w {zero}, [sp, #{place}]" for place in places)]

    def _total(self, i: int, j: int, half: int, field: int) -> int:
        """Place in the frame of the total of one output."""
        return _TOTALS + 4 * (((i * WORDS + j) * 2 + half) * self.kernel.fields + field)

    def _offset(self, half: int, field: int) -> int:
        """First bit of a field in the lower or upper register of a sum."""
        return field * self.kernel.field_bits + (self.kernel.weight_bits if half == 0 else 0)

    def _finish_part(self) -> list[str]:
        """Adds the fields to the totals, and starts the sums of the next part, which the last one ignores."""
        k = self.kernel
        pool, lines = _Pool(_OPERANDS), []
        last = k.fields - 1
        for i, j, half in ((i, j, half) for i in range(WORDS) for j in range(WORDS) for half in range(2)):
            sum_ = self.sums[i][j][half]
            places = [f"[sp, #{self._total(i, j, half, field)}]" for field in range(k.fields)]
            totals = [pool.take() for _ in places]
            lines += [f"ldr.w {total}, {place}" for total, place in zip(totals, places, strict=True)]
            value = pool.take()
            for field, total in enumerate(totals[:last]):
                lines.append(f"ubfx {value}, {sum_}, #{self._offset(half, field)}, #{k.field_bits}")
                lines.append(f"add.w {total}, {total}, {value}")
            # Nothing lies above the last field.
            lines.append(f"add.w {totals[last]}, {totals[last]}, {sum_}, lsr #{self._offset(half, last)}")
            lines += [f"str.w {total}, {place}" for total, place in zip(totals, places, strict=True)]
            pool.give(value, *totals, *([sum_] if i == 0 else []))  # the others start anew soon
        lines += self._start_part()
        end = _OPERANDS[0]
        lines += [f"ldr.w {end}, [sp, #{_JOB['tile_end']}]", f"cmp.w {_TILE}, {end}"]
        return [*self._ordered(lines), "bne.w 5b"]

    def _finish(self) -> list[str]:
        """Requantizes, packs and stores all outputs; moves on to the next block of channels."""
        k = self.kernel
        pool = _Pool((*_OPERANDS, _TILE))
        lines: list[str] = []
        parked = self.sums[1][1] if k.fields > 2 and not k.in_parts else ()
        for index, register in enumerate(parked):
            lines.append(f"str.w {register}, [sp, #{_PARKED + 4 * index}]")
            pool.give(register)
        if k.in_parts:
            pool.give(*_SUMS)
            lines.append(f"sub.w {_WEIGHTS}, {_WEIGHTS}, #{_HEADER_BYTES}")
        zero_point = pool.take()
        lines.append(f"ldr.w {zero_point}, [sp, #{_JOB['zero_point']}]")
        out = ""
        for j in range(WORDS):
            pairs: list[list[str]] = []
            for i in range(WORDS):
                sums = self.sums[i][j]
                if parked and i == j == 1:
                    sums = (pool.take(), pool.take())
                    lines += [f"ldr.w {register}, [sp, #{_PARKED + 4 * h}]" for h, register in enumerate(sums)]
                first, second = (self._outputs(lines, pool, zero_point, sums[half], (i, j, half)) for half in range(2))
                for a, b in zip(first, second, strict=True):
                    lines += [f"pkhbt {a}, {a}, {b}, lsl #16", f"usat16 {a}, #{k.output_bits}, {a}"]
                    pool.give(b)
                pairs.append(first)
            if not out:
                out, pitch = pool.take(), pool.take()
                lines += [f"ldr.w {out}, [sp, #{_JOB['output']}]", f"ldr.w {pitch}, [sp, #{_JOB['pitch']}]"]
            for field, (a, b) in enumerate(zip(*pairs, strict=True)):
                lines.append(f"orr.w {a}, {a}, {b}, lsl #{k.output_bits}")
                if k.output_bits < 8:
                    lines.append(f"orr.w {a}, {a}, {a}, lsr #{16 - 2 * k.output_bits}")
                lines.append(f"{_STORES[k.output_bits]} {a}, [{out}]")
                if (j, field) != (WORDS - 1, k.fields - 1):
                    lines.append(f"add.w {out}, {out}, {pitch}")
                pool.give(a, b)
        return [*lines, *self._next_block(out, pitch)]

    def _outputs(
        self, lines: list[str], pool: _Pool, zero_point: str, sum_: str, place: tuple[int, int, int]
    ) -> list[str]:
        """Registers with the outputs of a channel, not clamped yet, by pixel; adds their computation to `lines`."""
        k = self.kernel
        i, j, half = place
        bias = pool.take()
        taken = k.fields if k.in_parts else k.fields - 1
        multiplier = pool.take() if len(pool) > taken else bias
        load_multiplier = f"ldr.w {multiplier}, [{_WEIGHTS}, #{4 * (CHANNELS + 2 * i + half)}]"
        lines.append(f"ldr.w {bias}, [{_WEIGHTS}, #{4 * (2 * i + half)}]")
        if multiplier != bias:  # two loads side by side are faster
            lines.append(load_multiplier)
        shifted = f", lsl #{k.shift}" if k.shift else ""
        if k.in_parts:
            values = [pool.take() for _ in range(taken)]
            lines += [f"ldr.w {value}, [sp, #{self._total(i, j, half, f)}]" for f, value in enumerate(values)]
            lines += [f"add.w {value}, {bias}, {value}{shifted}" for value in values]
        else:
            values = [pool.take() for _ in range(taken)]
            for f, value in enumerate(values):
                lines.append(f"ubfx {value}, {sum_}, #{self._offset(half, f)}, #{k.field_bits}")
                lines.append(f"add.w {value}, {bias}, {value}{shifted}")
            # Nothing lies above the last field.
            last = self._offset(half, k.fields - 1)
            if k.shift:
                lines.append(f"lsr.w {sum_}, {sum_}, #{last}")
            moved = shifted or f", lsr #{last}"
            lines.append(f"add.w {sum_}, {bias}, {sum_}{moved}")
            values.append(sum_)
        if multiplier == bias:
            lines.append(load_multiplier)
        lines += [f"smmlar {value}, {value}, {multiplier}, {zero_point}" for value in values]
        pool.give(bias, *([multiplier] if multiplier != bias else []))
        return values

    def _next_block(self, out: str, end: str) -> list[str]:
        return [
            f"ldr.w {out}, [sp, #{_JOB['output']}]",
            f"add.w {_WEIGHTS}, {_WEIGHTS}, #{8 * CHANNELS}",
            f"ldr.w {end}, [sp, #{_JOB['weights_end']}]",
            f"add.w {out}, {out}, #{CHANNELS * self.kernel.output_bits // 8}",
            f"str.w {out}, [sp, #{_JOB['output']}]",
            f"cmp.w {_WEIGHTS}, {end}",
        ]
