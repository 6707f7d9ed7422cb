"""Generates the inner loops of linear combinations of codes (firmware/kernels/linear_dsp.h)."""

from __future__ import annotations

from dataclasses import dataclass

from quantmcu.codegen.assembly.interleave import interleave_for_dual_issue

_UNROLLED = 4
_A, _B, _OUTPUT, _END = "r0", "r1", "r2", "r3"
_CONSTANT, _FACTOR_A, _FACTOR_B = "r4", "r5", "r6"
_VALUES = ("r7", "r8", "r9", "r10", "r11", "r12", "lr")


@dataclass(frozen=True)
class LinearLoop:
    """The loop over groups of four elements.

    Attributes:
        dual_issue: ordered for Cortex-M7, else for Cortex-M4.
        inputs: 1 or 2.
        shift: of the sums, a constant of the instruction USAT.
    """

    dual_issue: bool
    inputs: int
    shift: int

    @property
    def symbol(self) -> str:
        """C name."""
        return f"qmcu_linear{self.inputs}_{'m7' if self.dual_issue else 'm4'}_{self.shift}"


def generate_linear(loop: LinearLoop) -> list[str]:
    """A function of (a, b, output, parameters): instructions and labels, one a line. There is at least one group."""
    body = _body(loop)
    if loop.dual_issue:
        body = interleave_for_dual_issue(body)
    return [
        "push {r4-r11, lr}",
        f"ldr.w {_CONSTANT}, [r3, #4]",
        f"ldr.w {_FACTOR_A}, [r3, #8]",
        f"ldr.w {_FACTOR_B}, [r3, #12]",
        "ldr.w r3, [r3]",
        "bic.w r3, r3, #3",
        f"add.w {_END}, {_OUTPUT}, r3",
        ".balign 4",
        "1:",
        *body,
        f"cmp {_OUTPUT}, {_END}",
        "bne.w 1b",
        "pop {r4-r11, pc}",
    ]


def _body(loop: LinearLoop) -> list[str]:
    """Four elements. Loads side by side take one cycle each on Cortex-M4."""
    sums, others = _VALUES[:_UNROLLED], _VALUES[_UNROLLED:]
    lines = _loads(sums, _A)
    lines += [f"mla {register}, {register}, {_FACTOR_A}, {_CONSTANT}" for register in sums]
    if loop.inputs == 2:
        # Three registers for four elements: the first one is loaded again.
        targets = (*others, others[0])
        lines = [*_loads(sums, _A, targets[:3]), *(f"mla {r}, {r}, {_FACTOR_A}, {_CONSTANT}" for r in sums)]
        lines.append(f"mla {sums[0]}, {targets[0]}, {_FACTOR_B}, {sums[0]}")
        lines.append(f"ldrb.w {targets[3]}, [{_B}, #3]")
        lines += [f"mla {sums[i]}, {targets[i]}, {_FACTOR_B}, {sums[i]}" for i in range(1, _UNROLLED)]
        lines.append(f"add.w {_B}, {_B}, #{_UNROLLED}")
    lines.append(f"add.w {_A}, {_A}, #{_UNROLLED}")
    lines += [f"usat {register}, #8, {register}, asr #{loop.shift}" for register in sums]
    lines += [f"strb.w {register}, [{_OUTPUT}, #{i}]" for i, register in enumerate(sums)]
    return [*lines, f"add.w {_OUTPUT}, {_OUTPUT}, #{_UNROLLED}"]


def _loads(registers: tuple[str, ...], base: str, second: tuple[str, ...] = ()) -> list[str]:
    first = [f"ldrb.w {register}, [{base}, #{i}]" for i, register in enumerate(registers)]
    return first + [f"ldrb.w {register}, [{_B}, #{i}]" for i, register in enumerate(second)]
