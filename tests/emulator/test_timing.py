"""The cycle models, pinned: documented costs of short sequences, and totals of kernels.

A change of these numbers is a change of every latency that QuantMCU estimates; the error stated in the board manifests
holds for these models only.
"""

from __future__ import annotations

import pytest
from assembly import HEADER, assemble, function

from quantmcu.emulator.function import FunctionMachine
from quantmcu.emulator.objects import compile_for_core
from quantmcu.emulator.timing import CortexM0Plus, CortexM4, CortexM7, cycle_model, decode_block
from quantmcu.errors import UsageError

ORIGIN = 0x08000000


def cycles(model, text, *, previous="", taken=False):
    """Cycles of the block `text`."""
    core = "cortex-m0plus" if isinstance(model, CortexM0Plus) else "cortex-m7"
    before = decode_block(assemble(previous, core), ORIGIN) if previous else ()
    return model.edge_half_cycles(before, decode_block(assemble(text, core), ORIGIN), taken) / 2


# Cortex-M4 TRM (DDI 0439), table 3-1 and section 3.3.3.
M4 = [
    ("nop\n" * 10, 10),
    ("add r0, r1, r2\nadd r3, r0, r4", 2),
    ("mul r0, r1, r2", 1),
    ("smlad r0, r1, r2, r0\nsmlad r0, r3, r4, r0", 2),
    ("smlal r0, r1, r2, r3", 1),
    ("sdiv r0, r1, r2", 6),
    ("ldr r0, [r1]", 2),
    ("ldr r0, [r1]\nldr r2, [r3]\nldr r4, [r5]", 4),  # pipelined: n + 1
    ("ldr r0, [r1]\nldr r2, [r0]", 4),  # not behind the load of its address
    ("ldr r0, [r1]\nadd r2, r3, r4", 3),
    ("ldr r0, [r1]\nnop", 2),  # a NOP hides the second cycle
    ("str r0, [r1]\nstr r2, [r3]", 2),
    ("str r0, [r1, r2]", 2),  # a third register to read
    ("add r0, r1, r2\nldr r3, [r0]", 4),  # address generation waits
    ("ldm r0, {r1-r4}", 5),
    ("push {r4-r7, lr}", 6),
    ("ldrd r0, r1, [r2]", 3),
    ("adds r0, r1, r2\nit eq\nmoveq r3, r4", 2),  # IT folds behind a 16-bit instruction
    ("vadd.f32 s0, s1, s2\nvadd.f32 s3, s4, s5", 2),
    ("vadd.f32 s0, s1, s2\nvadd.f32 s3, s0, s5", 3),
    ("vfma.f32 s0, s1, s2", 3),
    ("vdiv.f32 s0, s1, s2", 14),
    ("vldr s0, [r0]", 2),
    ("dsb", 2),
]


@pytest.mark.parametrize(("text", "expected"), M4)
def test_cortex_m4_costs_are_those_of_its_manual(text, expected):
    assert cycles(CortexM4(), text) == expected


def test_cortex_m4_refills_its_pipeline_after_taken_branches():
    model = CortexM4()
    assert cycles(model, "nop", previous="b .") == 1
    assert cycles(model, "nop", previous="b .", taken=True) == 2
    assert cycles(model, "nop", previous="bx lr", taken=True) == 3
    assert cycles(model, "nop", previous="pop {r4, pc}", taken=True) == 3


def test_cortex_m4_prefetch_runs_dry_in_wide_code_at_halfword_addresses():
    wide = "add r0, r8, r9\n" * 6
    assert cycles(CortexM4(), "nop\n" + wide) == 1 + 6 + 1
    assert cycles(CortexM4(), wide) == 6


def test_cortex_m4_total_is_scaled():
    assert CortexM4().cycles(2 * 1000) == 1057


# LLVM's ARMScheduleM7.td and GCC's cortex-m7.md: two instructions a cycle unless a unit or an operand forbids it.
M7 = [
    ("add r0, r1, r2\nadd r3, r4, r5\nadd r6, r7, r8\nadd r9, r10, r11", 2),
    ("add r0, r1, r2\nadd r3, r0, r5", 1),  # the early stage feeds the late one
    ("add r0, r1, r2\nadd r3, r0, r5\nadd r4, r3, r5\nadd r6, r4, r5", 2.5),
    (
        "smlad r0, r1, r2, r0\nsmlad r0, r3, r4, r0\nsmlad r0, r5, r6, r0\nsmlad r0, r7, r8, r0\nnop",
        4,
    ),  # one multiplier
    ("smlad r0, r1, r2, r0\nadd r9, r10, r11\nsmlad r3, r4, r5, r3\nadd r6, r7, r8", 2),
    ("sxtb16 r0, r1\nsxtb16 r2, r3\nnop", 2),  # one pipe has the DSP extensions
    ("sxtb16 r0, r1\nsmlad r2, r3, r4, r2", 1),
    ("ldr r0, [r1]\nldr r2, [r1, #4]", 1),  # different banks
    ("ldr r0, [r1]\nldr r2, [r1, #8]\nnop", 2),  # the same bank
    ("ldr r0, [r1]\nadd r2, r0, r3\nnop", 2),  # load to use
    ("ldr r0, [r1]\nnop\nsmlad r2, r0, r3, r2\nnop", 3),  # a factor is needed one cycle earlier
    ("ldr r0, [r1]\nldr r2, [r0]\nnop", 3),  # an address, too
    ("str r0, [r1]\nstr r2, [r3]\nnop", 2),  # one store port
    ("and r0, r1, r2, lsl #3\nand r3, r4, r5, lsl #3\nnop", 2),  # one shifter
    ("ldm r0, {r1-r4}", 2),
    ("sdiv r0, r1, r2", 6),
    ("vfma.f32 s0, s1, s2\nvfma.f32 s0, s3, s4\nnop", 4),
    ("vdiv.f32 s0, s1, s2", 16),
    ("vdiv.f64 d0, d1, d2", 30),
]


@pytest.mark.parametrize(("text", "expected"), M7)
def test_cortex_m7_pairs_and_waits(text, expected):
    assert cycles(CortexM7(), text) == expected


def test_cortex_m7_pairs_across_blocks():
    assert cycles(CortexM7(), "add r2, r0, r1", previous="ldr r3, [r1]") == 0.5
    assert cycles(CortexM7(), "add r2, r0, r1", previous="ldr r0, [r1]") == 1


def test_the_cost_of_a_long_multiplication_on_cortex_m7_is_one_number():
    text = "smlal r0, r1, r2, r3\nsmlal r4, r5, r2, r3\nsmlal r6, r7, r2, r3\nsmlal r8, r9, r2, r3\nnop"
    assert cycles(CortexM7(), text) == 4
    assert cycles(CortexM7(long_multiply_cycles=2), text) == 7
    assert cycles(CortexM7(long_multiply_cycles=2), "smlad r0, r1, r2, r0\nsmlad r3, r4, r5, r3\nnop") == 2


def test_a_models_numbers_can_be_replaced_by_name():
    assert cycle_model("cortex-m7", long_multiply_cycles=2) == CortexM7(long_multiply_cycles=2)
    with pytest.raises(UsageError) as error:
        cycle_model("cortex-m7", flash_wait_states=3)
    assert "the cycle model of cortex-m7 has no parameter flash_wait_states" in str(error.value)
    assert "long_multiply_cycles" in error.value.why


M0PLUS = [
    ("nop", 1),
    ("ldr r0, [r1]", 2),
    ("str r0, [r1]", 2),
    ("push {r4-r7, lr}", 6),
    ("muls r0, r1", 1),
    ("dsb", 3),
]


@pytest.mark.parametrize(("text", "expected"), M0PLUS)
def test_cortex_m0plus_costs_are_those_of_its_manual(text, expected):
    assert cycles(CortexM0Plus(), text) == expected


def test_an_unknown_core_is_refused_with_the_known_ones():
    with pytest.raises(UsageError) as error:
        cycle_model("cortex-a53")
    assert "there is no cycle model of cortex-a53" in str(error.value)
    assert "cortex-m7" in error.value.why


# A dot product of 8-bit values as the kernels do it: widen by SXTB16, two MACs by SMLAD. r0: x, r1: w, r2: groups of 8.
DOT = """
push {r4-r9, lr}
movs r3, #0
1:
ldrd r4, r5, [r0], #8
ldrd r6, r7, [r1], #8
sxtb16 r8, r4
sxtb16 r9, r6
sxtb16 r4, r4, ror #8
sxtb16 r6, r6, ror #8
smlad r3, r8, r9, r3
smlad r3, r4, r6, r3
sxtb16 r8, r5
sxtb16 r9, r7
sxtb16 r5, r5, ror #8
sxtb16 r7, r7, ror #8
smlad r3, r8, r9, r3
smlad r3, r5, r7, r3
subs r2, r2, #1
bne 1b
mov r0, r3
pop {r4-r9, pc}
"""


@pytest.mark.parametrize(
    ("core", "expected_cycles"),
    [
        # A pass of 23: two LDRD of 3, 14 of 1, refill 1, a wide target and a run of wide code at half-words 1 each.
        ("cortex-m33", 2316),
        ("cortex-m4", 2448),  # the same, scaled by 1.057
        ("cortex-m7", 1338),  # 13 a pass; the branch is mispredicted three times
    ],
)
def test_totals_of_a_kernel(core, expected_cycles):
    machine = FunctionMachine(compile_for_core([HEADER + function("dot", DOT)], core, flags=()), core)
    x = machine.allocate(bytes([3]) * 800)
    result = machine.call("dot", x, x, 100)
    assert result.r0 == 800 * 9
    assert result.instructions == 2 + 16 * 100 + 2
    assert result.cycles == expected_cycles
