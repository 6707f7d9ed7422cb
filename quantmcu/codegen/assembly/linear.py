"""Generates the inner loops of linear combinations of codes (firmware/kernels/linear_dsp.h)."""

from __future__ import annotations

from dataclasses import dataclass

from quantmcu.codegen.assembly.interleave import interleave_for_dual_issue

_UNROLLED = 4
_GROUPS = 2  # of four elements in a turn of the loop
_A, _B, _OUTPUT, _END = "r0", "r1", "r2", "r3"
_CONSTANT, _FACTOR_A, _FACTOR_B = "r4", "r5", "r6"
_VALUES = ("r7", "r8", "r9", "r10", "r11", "r12", "lr")


@dataclass(frozen=True)
class LinearLoop:
    """The loop over groups of eight elements.

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
        f"bic.w r3, r3, #{_GROUPS * _UNROLLED - 1}",
        f"add.w {_END}, {_OUTPUT}, r3",
        ".balign 4",
        "1:",
        *body,
        f"cmp {_OUTPUT}, {_END}",
        "bne.w 1b",
        "pop {r4-r11, pc}",
    ]


def _body(loop: LinearLoop) -> list[str]:
    """Eight elements."""
    lines = [line for group in range(_GROUPS) for line in _four(loop, _UNROLLED * group)]
    bases = (_A, _B, _OUTPUT) if loop.inputs == 2 else (_A, _OUTPUT)
    return lines + [f"add.w {base}, {base}, #{_GROUPS * _UNROLLED}" for base in bases]


def _four(loop: LinearLoop, first: int) -> list[str]:
    """Four elements from `first` on. Loads side by side take one cycle each on Cortex-M4."""
    sums, others = _VALUES[:_UNROLLED], _VALUES[_UNROLLED:]
    lines = [f"ldrb.w {register}, [{_A}, #{first + i}]" for i, register in enumerate(sums)]
    if loop.inputs == 2:
        # Three registers for four elements: the first one is loaded again.
        lines += [f"ldrb.w {register}, [{_B}, #{first + i}]" for i, register in enumerate(others)]
    lines += [f"mla {register}, {register}, {_FACTOR_A}, {_CONSTANT}" for register in sums]
    if loop.inputs == 2:
        lines.append(f"mla {sums[0]}, {others[0]}, {_FACTOR_B}, {sums[0]}")
        lines.append(f"ldrb.w {others[0]}, [{_B}, #{first + 3}]")
        seconds = (*others[1:], others[0])
        lines += [f"mla {sums[i]}, {seconds[i - 1]}, {_FACTOR_B}, {sums[i]}" for i in range(1, _UNROLLED)]
    lines += [f"usat {register}, #8, {register}, asr #{loop.shift}" for register in sums]
    return lines + [f"strb.w {register}, [{_OUTPUT}, #{first + i}]" for i, register in enumerate(sums)]
