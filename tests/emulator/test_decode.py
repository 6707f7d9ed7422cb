"""Instructions are decoded with all the registers that they read and write."""

from __future__ import annotations

import re

import pytest
from assembly import assemble

from quantmcu.emulator.timing import Kind, decode_block

# Sources of USAT, USAT16, PKHBT, PKHTB and UXTAB are missing from capstone 5.0.9's regs_access().
ONE_DESTINATION = """
usat r0, #8, r1, asr #3
usat16 r0, #8, r1
ssat r0, #8, r1
ssat16 r0, #8, r1
pkhbt r0, r1, r2, lsl #16
pkhtb r0, r1, r2, asr #16
uxtab r0, r1, r2
uxtab16 r0, r1, r2
sxtab16 r0, r1, r2, ror #8
sxtab r0, r1, r2
sxtah r0, r1, r2
sxtb16 r0, r1
uxtb16 r0, r1, ror #8
sel r0, r1, r2
qadd16 r0, r1, r2
uqsub8 r0, r1, r2
shadd16 r0, r1, r2
qadd r0, r1, r2
qdsub r0, r1, r2
usad8 r0, r1, r2
usada8 r0, r1, r2, r3
clz r0, r1
rbit r0, r1
rev16 r0, r1
ubfx r0, r1, #3, #4
smlad r0, r1, r2, r3
smladx r0, r1, r2, r3
smlsd r0, r1, r2, r3
smlabb r0, r1, r2, r3
smlawt r0, r1, r2, r3
smmlar r0, r1, r2, r3
smmul r0, r1, r2
smuad r0, r1, r2
mla r0, r1, r2, r3
mls r0, r1, r2, r3
mul r0, r1, r2
sdiv r0, r1, r2
add r0, r1, r2, lsl #3
""".strip().split("\n")
TWO_DESTINATIONS = [
    ("smlal r0, r1, r2, r3", True),
    ("umlal r0, r1, r2, r3", True),
    ("umaal r0, r1, r2, r3", True),
    ("smlald r0, r1, r2, r3", True),
    ("smlsldx r0, r1, r2, r3", True),
    ("smlalbt r0, r1, r2, r3", True),
    ("smull r0, r1, r2, r3", False),
    ("umull r0, r1, r2, r3", False),
]


def _decode(text: str):
    block = decode_block(assemble(text), 0x08000000)
    assert len(block) == 1
    return block[0]


@pytest.fixture(scope="module")
def one_destination():
    return decode_block(assemble("\n".join(ONE_DESTINATION)), 0x08000000)


@pytest.mark.parametrize("index", range(len(ONE_DESTINATION)), ids=ONE_DESTINATION)
def test_all_sources_and_the_destination_are_known(one_destination, index):
    registers = re.findall(r"r\d", ONE_DESTINATION[index])
    instruction = one_destination[index]
    assert {r for r in instruction.reads if r.startswith("r")} == set(registers[1:])
    assert {r for r in instruction.writes if r.startswith("r")} == {"r0"}


@pytest.mark.parametrize(("text", "accumulates"), TWO_DESTINATIONS, ids=[t for t, _ in TWO_DESTINATIONS])
def test_64_bit_multiplications(text, accumulates):
    instruction = _decode(text)
    assert instruction.kind is Kind.MULTIPLY
    assert instruction.long_multiply
    assert instruction.writes == {"r0", "r1"}
    assert instruction.reads == ({"r0", "r1", "r2", "r3"} if accumulates else {"r2", "r3"})
    assert instruction.accumulators == ({"r0", "r1"} if accumulates else set())


@pytest.mark.parametrize(
    ("text", "kind", "transfers"),
    [
        ("ldr r0, [r1, #4]", Kind.LOAD, 1),
        ("ldrsb r0, [r1, r2]", Kind.LOAD, 1),
        ("ldrd r0, r1, [r2]", Kind.LOAD_MULTIPLE, 2),
        ("ldm r0!, {r1-r4}", Kind.LOAD_MULTIPLE, 4),
        ("push {r4-r7, lr}", Kind.STORE_MULTIPLE, 5),
        ("pop {r4, pc}", Kind.LOAD_MULTIPLE, 2),
        ("vldr d0, [r0]", Kind.FP_LOAD, 2),
        ("vldmia r0!, {s0-s3}", Kind.FP_LOAD_MULTIPLE, 4),
        ("vstmia r0!, {d0-d1}", Kind.FP_STORE_MULTIPLE, 4),
        ("vfma.f32 s0, s1, s2", Kind.FP_MULTIPLY_ADD, 1),
        ("vmrs apsr_nzcv, fpscr", Kind.FP_MOVE, 1),
        ("vmov r0, r1, d0", Kind.FP_MOVE, 1),
        ("vsqrt.f32 s0, s1", Kind.FP_DIVIDE, 1),
        ("tbb [pc, r0]", Kind.TABLE_BRANCH, 1),
        ("bx lr", Kind.BRANCH, 1),
        ("mov pc, lr", Kind.BRANCH, 1),
        ("dsb", Kind.SYSTEM, 1),
        ("nop", Kind.NOP, 1),
    ],
)
def test_kinds(text, kind, transfers):
    instruction = _decode(text)
    assert (instruction.kind, instruction.transfers) == (kind, transfers)


def test_an_instruction_under_it_reads_its_destination_and_the_flags():
    block = decode_block(assemble("it eq\nmoveq r0, r1"), 0)
    assert block[0].kind is Kind.IF_THEN
    assert block[1].conditional
    assert block[1].reads == {"r0", "r1", "flags"}


def test_a_pop_into_pc_is_a_branch():
    assert _decode("pop {r4, pc}").writes_pc
    assert not _decode("pop {r4, r5}").writes_pc


def test_a_constant_made_by_the_shifter_is_told_from_a_plain_one():
    assert _decode("and r0, r1, #0x3fc00").shifted
    assert not _decode("and r0, r1, #0x3f").shifted
    assert not _decode("and r0, r1, #0x00ff00ff").shifted
