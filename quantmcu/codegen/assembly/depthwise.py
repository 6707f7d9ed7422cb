"""Generates the block functions of the depthwise kernels (firmware/kernels/depthwise.h)."""

from __future__ import annotations

from dataclasses import dataclass

from quantmcu.codegen.assembly.depthwise_shape import OPERAND_REGISTERS, SUMS, DepthwiseShape
from quantmcu.codegen.assembly.interleave import interleave_for_dual_issue

_OPERANDS = (*(f"r{number}" for number in range(6, 13)), "lr")
assert len(_OPERANDS) == OPERAND_REGISTERS

# Fields of qmcu_depthwise_job, in bytes; copied to the stack in this order.
_FIELDS = (
    "tile", "output", "stream", "channels", "steps", "plane_bytes", "row_bytes", "second_row", "last_second_row",
    "last", "step_back", "zero_point",
)  # fmt: skip
_JOB = {name: 4 * index for index, name in enumerate(_FIELDS)}
# What a channel adds: bias and multiplier; steps left; the distance of the second row of outputs; where the last block
# of the row starts; the next output; weight words that lend their registers.
_OF_CHANNEL = ("bias", "multiplier", "left", "second", "last_block", "next", "lent0", "lent1")
_FRAME = {name: 4 * index for index, name in enumerate(_FIELDS + _OF_CHANNEL)}
_FRAME_BYTES = -(-4 * len(_FRAME) // 8) * 8

# On a core with an FPU that issues one instruction a cycle, what every block reads waits in FPU registers, which VMOV
# reads in one cycle; a load takes two. They need not be saved (Procedure Call Standard for the Arm Architecture,
# 6.1.2.1).
_IN_FPU = {name: f"s{index}" for index, name in enumerate(("multiplier", "zero_point", "second", "bias", "last_block"))}


@dataclass(frozen=True)
class DepthwiseKernel:
    """A block function for one core.

    Attributes:
        dual_issue: ordered for Cortex-M7, else for Cortex-M4.
        has_fpu: the core has a single-precision FPU.
        pair_bytes: of the tile, from a row pair to the next.
        pixel_bytes: of the output, from a pixel to the next.
        input_bits, output_bits: of the maps.
    """

    shape: DepthwiseShape
    dual_issue: bool
    has_fpu: bool
    pair_bytes: int
    pixel_bytes: int
    input_bits: int = 8
    output_bits: int = 8

    @property
    def uses_fpu(self) -> bool:
        """Keeps values in FPU registers."""
        return self.has_fpu and not self.dual_issue

    @property
    def symbol(self) -> str:
        """C name."""
        s = self.shape
        core = "m7" if self.dual_issue else "m4f" if self.uses_fpu else "m4"
        bits = f"_{self.input_bits}_{self.output_bits}" if (self.input_bits, self.output_bits) != (8, 8) else ""
        return (
            f"qmcu_depthwise_{core}_{s.kernel_height}x{s.kernel_width}_s{s.stride_y}x{s.stride_x}_{s.rows}x{s.columns}"
            f"_{self.pair_bytes}_{self.pixel_bytes}{bits}"
        )

    @property
    def largest_offset(self) -> int:
        """Largest offset of a load or store; instructions hold 12 bits."""
        read = (self.shape.pairs - 1) * self.pair_bytes + 4 * self.shape.columns_read
        return max(read, self.shape.pairs_per_step * self.pair_bytes, self.shape.columns * self.pixel_bytes)


def generate_depthwise(kernel: DepthwiseKernel) -> list[str]:
    """The function's body: instructions and labels, one a line.

    Raises:
        ValueError: offsets are larger, or weights more, than instructions and registers hold.
    """
    if kernel.largest_offset > 4095:
        raise ValueError(f"{kernel.symbol}: offset {kernel.largest_offset} is beyond the instructions' 4095")
    return _Generator(kernel).lines()


class _Generator:
    """Registers: r0 the tile, r1 the output (or the weights, where these don't stay in registers), r2 to r5 sums."""

    def __init__(self, kernel: DepthwiseKernel) -> None:
        self.kernel = kernel
        self.shape = kernel.shape
        self.sums = [f"r{2 + i}" for i in range(SUMS)]
        self.resident = self.shape.is_resident
        # Two weights that are not needed to the end of a block lend their registers to multiplier and zero point, so
        # that sums can be requantized while others still grow. With one instruction a cycle that gains nothing, with
        # a third register for columns hardly anything.
        self.lends = self.resident and kernel.dual_issue and self.shape.column_registers == 2
        held = self.shape.weight_registers
        self.in_fpu = _IN_FPU if kernel.uses_fpu else {}
        self.weights, self.temporary = _OPERANDS[:held], _OPERANDS[held:]
        if not self.temporary:
            raise ValueError(f"{kernel.symbol}: no register is left for the map")

    def lines(self) -> list[str]:
        """The whole function."""
        block = self._block()
        if self.kernel.dual_issue:
            block = interleave_for_dual_issue(block, ordered_stores=True, is_loop=True)
        return [
            *self._entry(),
            "1: @ a channel",
            *self._start_channel(),
            ".balign 4",
            "2: @ a block of outputs",
            *block,
            "bls.w 2b",
            *self._end_of_row(),
            *self._next_step(),
            *self._next_channel(),
            f"add.w sp, sp, #{_FRAME_BYTES}",
            "pop {r4-r11, pc}",
        ]

    def _load(self, register: str, name: str) -> str:
        if name in self.in_fpu:
            return f"vmov {register}, {self.in_fpu[name]}"
        return f"ldr.w {register}, [sp, #{_FRAME[name]}]"

    def _store(self, register: str, name: str) -> str:
        if name in self.in_fpu:
            return f"vmov {self.in_fpu[name]}, {register}"
        return f"str.w {register}, [sp, #{_FRAME[name]}]"

    def _entry(self) -> list[str]:
        """Saves registers and copies the job to the stack."""
        registers = ["r1", "r2", "r3", "r4", "r5", "r6"]
        lines = ["push {r4-r11, lr}", f"sub.w sp, sp, #{_FRAME_BYTES}"]
        for start in range(0, len(_FIELDS), len(registers)):
            part = list(zip(_FIELDS[start : start + len(registers)], registers, strict=False))
            lines += [f"ldr.w {register}, [r0, #{_JOB[name]}]" for name, register in part]
            lines += [self._store(register, name) for name, register in part]
        return lines

    def _start_channel(self) -> list[str]:
        """Bias, multiplier, weights and first step of a channel; r0 and the first sum as every block finds them."""
        a, b, c, d = self.sums
        stream, out = "r6", "r1" if self.resident else "r7"
        lines = [
            self._load("r0", "tile"),
            self._load(out, "output"),
            self._load(c, "steps"),
            self._load(d, "last"),
            self._load(stream, "stream"),
            f"add.w {d}, {d}, r0",
            f"ldr.w {a}, [{stream}]",
            f"ldr.w {b}, [{stream}, #4]",
            self._store(c, "left"),
            self._store(d, "last_block"),
            self._store(a, "bias"),
            self._store(b, "multiplier"),
        ]
        if not self.resident:
            lines += [self._store(out, "next"), f"add.w r1, {stream}, #8"]
        if self.shape.rows == 2:
            lines += [self._load(d, "second_row"), f"cmp {c}, #1", "bne.n 3f", self._load(d, "last_second_row"), "3:"]
            lines.append(self._store(d, "second"))
        if not self.resident:
            return lines
        # r6 is itself the first weight: loaded last.
        loads = [f"ldr.w {register}, [{stream}, #{8 + 4 * i}]" for i, register in enumerate(self.weights)]
        lines += loads[::-1]
        return lines + ([self._store(r, f"lent{i}") for i, r in enumerate(self._lent())] if self.lends else [])

    def _block(self) -> list[str]:
        """Sums, requantizes and stores a block. The first sum holds the bias at the start, and again at the end."""
        lines = self._first_sums()
        columns = self._columns()
        started: set[int] = set()
        loaded_words = -1
        index = 0
        while index < len(columns):
            part = columns[index : index + len(self.temporary)]
            part = [entry for entry in part if self.resident or entry[0] == part[0][0]]
            index += len(part)
            number = part[0][0]
            if not self.resident and number != loaded_words:
                lines += self._load_words(number)
                loaded_words = number
            for register, (number, column) in zip(self.temporary, part, strict=False):
                offset = self.shape.passes[number].pair * self.kernel.pair_bytes + 4 * column
                lines.append(f"ldr.w {register}, [r0, #{offset}]")
            for register, (number, column) in zip(self.temporary, part, strict=False):
                lines += self._products(number, column, register, started)
        return lines + self._finish()

    def _columns(self) -> list[tuple[int, int]]:
        """(pass, column) in the order of computation; the first column feeds as many sums as possible.

        Where weights lend their registers, the columns that need the last tap come first.
        """
        s = self.shape
        first = self._first_column()
        others = [column for column in range(s.columns_read) if column != first]
        if self.lends:
            others.sort(key=lambda column: -self._last_tap(column))
        order = [first, *others]
        numbers = range(len(s.passes))
        if self.resident:
            pairs = [(number, column) for column in order for number in numbers]
        else:
            pairs = [(number, column) for number in numbers for column in order]
        return [(number, column) for number, column in pairs if column in s.passes[number].products]

    def _last_tap(self, column: int) -> int:
        """The last tap that any output of a block applies to a column."""
        taps = (column - output * self.shape.stride_x for output in range(self.shape.columns))
        return max((tap for tap in taps if 0 <= tap < self.shape.kernel_width), default=0)

    def _lent(self) -> tuple[str, str]:
        """The two weight registers that are free first."""
        last_use = dict.fromkeys(self.weights, -1)
        for place, (number, column) in enumerate(self._columns()):
            for product in self.shape.passes[number].products[column]:
                last_use[self.weights[self._base(number) + product.word]] = place
        first, second, *_ = sorted(self.weights, key=lambda register: last_use[register])
        return first, second

    def _first_column(self) -> int:
        products = self.shape.passes[0].products
        later = 1 if self.lends else -1
        return max(products, key=lambda column: (len({p.sum for p in products[column] if p.sum}), later * column))

    def _first_sums(self) -> list[str]:
        """Copies of the bias for sums that the first column does not start."""
        started = {product.sum for product in self.shape.passes[0].products[self._first_column()]}
        self.copied = set(range(1, SUMS)) - started
        return [f"mov.w {self.sums[i]}, {self.sums[0]}" for i in sorted(self.copied)]

    def _base(self, number: int) -> int:
        """Index of the first weight word of a pass among those in registers."""
        return sum(len(one.words) for one in self.shape.passes[:number]) if self.resident else 0

    def _products(self, number: int, column: int, register: str, started: set[int]) -> list[str]:
        base = self._base(number)
        lines = []
        # The first sum last: until it starts, its register holds the bias of the others.
        for product in sorted(self.shape.passes[number].products[column], key=lambda p: (p.sum == 0, p.sum)):
            target = self.sums[product.sum]
            fresh = product.sum not in started and product.sum not in self.copied
            started.add(product.sum)
            addend = self.sums[0] if fresh else target
            lines.append(f"{product.instruction} {target}, {register}, {self.weights[base + product.word]}, {addend}")
        return lines

    def _load_words(self, number: int) -> list[str]:
        base = sum(len(one.words) for one in self.shape.passes[:number])
        count = len(self.shape.passes[number].words)
        return [f"ldr.w {self.weights[i]}, [r1, #{4 * (base + i)}]" for i in range(count)]

    def _finish(self) -> list[str]:
        """Requantizes and stores the sums, and moves on to the next block."""
        s = self.shape
        # Weights that don't stay in registers leave room.
        multiplier, zero_point = self.temporary[-2:] if self.resident else self.weights[:2]
        out, second = ("r1", multiplier) if self.resident else self.weights[2:4]
        if self.lends:
            multiplier, zero_point = self._lent()
            second = self.temporary[0]
        lines = [self._load(multiplier, "multiplier"), self._load(zero_point, "zero_point")]
        if not self.resident:
            lines += [self._load(out, "next")]
        lines += [f"smmlar {r}, {r}, {multiplier}, {zero_point}" for r in self.sums]
        if s.rows == 2:
            lines.append(self._load(second, "second"))
        lines += [f"usat {r}, #{self.kernel.output_bits}, {r}" for r in self.sums]
        if s.rows == 2:
            # The second row first: where the map has none, it has the address of the first one.
            lines.append(f"add.w {second}, {second}, {out}")
            lines += [f"strb.w {self.sums[2 + c]}, [{second}, #{c * self.kernel.pixel_bytes}]" for c in range(2)]
        lines += [f"strb.w {self.sums[c]}, [{out}, #{c * self.kernel.pixel_bytes}]" for c in range(s.columns)]
        lines.append(f"add.w {out}, {out}, #{s.columns * self.kernel.pixel_bytes}")
        if not self.resident:
            lines.append(self._store(out, "next"))
        if self.lends:
            lines += [self._load(register, f"lent{i}") for i, register in enumerate(self._lent())]
        lines.append(f"add.w r0, r0, #{4 * s.columns * s.stride_x}")
        lines += [self._load(self.temporary[-1], "last_block"), self._load(self.sums[0], "bias")]
        return [*lines, f"cmp r0, {self.temporary[-1]}"]

    def _end_of_row(self) -> list[str]:
        """A last block that is not whole is moved back, so that some outputs are computed twice."""
        last, b = self.temporary[-1], self.sums[1]
        out = "r1" if self.resident else self.weights[0]
        step = 4 * self.shape.columns * self.shape.stride_x
        lines = [
            f"sub.w {b}, r0, {last}",
            f"cmp {b}, #{step}",
            "beq.n 3f",
            f"mov.w r0, {last}",
            self._load(b, "step_back"),
        ]
        if not self.resident:
            lines.append(self._load(out, "next"))
        lines.append(f"sub.w {out}, {out}, {b}")
        if not self.resident:
            lines.append(self._store(out, "next"))
        return [*lines, "b.w 2b", "3:"]

    def _next_step(self) -> list[str]:
        """The output is at the end of a row already; the tile goes from the end of a row to the next step."""
        _, b, c, d = self.sums
        advance = self.shape.pairs_per_step * self.kernel.pair_bytes
        out = "r1" if self.resident else self.weights[0]
        lines = [self._load(b, "left"), self._load(c, "last")]
        if self.shape.rows == 2:
            lines.append(self._load(d, "row_bytes"))
            if not self.resident:
                lines.append(self._load(out, "next"))
            lines.append(f"add.w {out}, {out}, {d}")
            if not self.resident:
                lines.append(self._store(out, "next"))
        lines += [
            f"sub.w r0, {self.temporary[-1]}, {c}",
            f"add.w {c}, {self.temporary[-1]}, #{advance}",
            f"add.w r0, r0, #{advance}",
            self._store(c, "last_block"),
            f"subs.w {b}, {b}, #1",
            self._store(b, "left"),
        ]
        if self.shape.rows == 1:
            return [*lines, "bne.w 2b"]
        return [
            *lines,
            "beq.n 3f",
            f"cmp {b}, #1",
            "bne.w 2b",
            self._load(d, "last_second_row"),
            self._store(d, "second"),
            "b.w 2b",
            "3:",
        ]

    def _next_channel(self) -> list[str]:
        a, b, c, d = self.sums
        return [
            self._load(a, "tile"),
            self._load(b, "plane_bytes"),
            self._load(c, "output"),
            self._load(d, "stream"),
            f"add.w {a}, {a}, {b}",
            f"add.w {c}, {c}, #1",
            f"add.w {d}, {d}, #{4 * (2 + self.shape.stream_words)}",
            self._load("r0", "channels"),
            self._store(a, "tile"),
            self._store(c, "output"),
            self._store(d, "stream"),
            "subs.w r0, r0, #1",
            self._store("r0", "channels"),
            "bne.w 1b",
        ]
