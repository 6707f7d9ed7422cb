"""DSP instructions as emulated, against their definition in the Armv7-M ARM (DDI 0403E, section A7.7)."""

from __future__ import annotations

from functools import cache

import pytest
from assembly import HEADER, function
from hypothesis import given, settings
from hypothesis import strategies as st

from quantmcu.emulator.function import FunctionMachine
from quantmcu.emulator.objects import compile_for_core

WORD = 0xFFFFFFFF
words = st.one_of(st.integers(0, WORD), st.sampled_from([0, 1, 0x7FFFFFFF, 0x80000000, WORD, 0x80008000, 0x7FFF7FFF]))


def signed(value, bits=32):
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def halves(word):
    return signed(word, 16), signed(word >> 16, 16)


def pack(low, high):
    return (low & 0xFFFF) | (high & 0xFFFF) << 16


def rotate(word, by):
    return (word >> by | word << (32 - by)) & WORD


def clamp(value, low, high):
    return max(low, min(high, value))


def bytes_of(word):
    return [word >> 8 * i & 0xFF for i in range(4)]


def smlad(a, b, c):
    (al, ah), (bl, bh) = halves(a), halves(b)
    return (al * bl + ah * bh + signed(c)) & WORD


def smlald(a, b, c):
    (al, ah), (bl, bh) = halves(a), halves(b)
    return (al * bl + ah * bh + signed(c)) >> 32 & WORD


# Instruction on r0 = a, r1 = b, r2 = c, with the result in r0, and its definition.
INSTRUCTIONS = {
    "smlad r0, r0, r1, r2": smlad,
    "smladx r0, r0, r1, r2": lambda a, b, c: smlad(a, rotate(b, 16), c),
    "smlsd r0, r0, r1, r2": lambda a, b, c: (
        (halves(a)[0] * halves(b)[0] - halves(a)[1] * halves(b)[1] + signed(c)) & WORD
    ),
    "smlabt r0, r0, r1, r2": lambda a, b, c: (halves(a)[0] * halves(b)[1] + signed(c)) & WORD,
    "smlawb r0, r0, r1, r2": lambda a, b, c: ((signed(a) * halves(b)[0] >> 16) + signed(c)) & WORD,
    "smmlar r0, r0, r1, r2": lambda a, b, c: (((c << 32) + signed(a) * signed(b) + 0x80000000) >> 32) & WORD,
    "smmul r0, r0, r1": lambda a, b, c: signed(a) * signed(b) >> 32 & WORD,
    "sxtb16 r0, r0": lambda a, b, c: pack(signed(a, 8), signed(a >> 16, 8)),
    "sxtb16 r0, r0, ror #8": lambda a, b, c: pack(signed(a >> 8, 8), signed(a >> 24, 8)),
    "uxtb16 r0, r0, ror #8": lambda a, b, c: pack(a >> 8 & 0xFF, a >> 24),
    "sxtab16 r0, r0, r1": lambda a, b, c: pack(halves(a)[0] + signed(b, 8), halves(a)[1] + signed(b >> 16, 8)),
    "uxtab r0, r0, r1, ror #16": lambda a, b, c: (a + (b >> 16 & 0xFF)) & WORD,
    "pkhbt r0, r0, r1, lsl #16": lambda a, b, c: pack(a, b),
    "pkhtb r0, r0, r1, asr #16": lambda a, b, c: pack(b >> 16, a >> 16),
    "usat r0, #8, r0, asr #3": lambda a, b, c: clamp(signed(a) >> 3, 0, 255),
    "ssat r0, #8, r0": lambda a, b, c: clamp(signed(a), -128, 127) & WORD,
    "usat16 r0, #8, r0": lambda a, b, c: pack(*(clamp(h, 0, 255) for h in halves(a))),
    "ssat16 r0, #8, r0": lambda a, b, c: pack(*(clamp(h, -128, 127) for h in halves(a))),
    "qadd16 r0, r0, r1": lambda a, b, c: pack(
        *(clamp(x + y, -32768, 32767) for x, y in zip(halves(a), halves(b), strict=True))
    ),
    "qsub r0, r0, r1": lambda a, b, c: clamp(signed(a) - signed(b), -(1 << 31), (1 << 31) - 1) & WORD,
    "shadd16 r0, r0, r1": lambda a, b, c: pack(*((x + y) >> 1 for x, y in zip(halves(a), halves(b), strict=True))),
    # per byte: the greater of both, by the GE flags
    "usub8 r3, r0, r1\nsel r0, r0, r1": lambda a, b, c: int.from_bytes(
        bytes(max(x, y) for x, y in zip(bytes_of(a), bytes_of(b), strict=True)), "little"
    ),
    "usada8 r0, r0, r1, r2": lambda a, b, c: (
        (sum(abs(x - y) for x, y in zip(bytes_of(a), bytes_of(b), strict=True)) + c) & WORD
    ),
    # 64-bit accumulators in r3:r2, sign-extended from c; the upper half is the result
    "asr r3, r2, #31\nsmlal r2, r3, r0, r1\nmov r0, r3": lambda a, b, c: (
        (signed(a) * signed(b) + signed(c)) >> 32 & WORD
    ),
    "asr r3, r2, #31\nsmlald r2, r3, r0, r1\nmov r0, r3": smlald,
    "mov r3, #0\numaal r2, r3, r0, r1\nmov r0, r3": lambda a, b, c: (a * b + c) >> 32 & WORD,
    "rev16 r0, r0": lambda a, b, c: (a & 0x00FF00FF) << 8 | (a & 0xFF00FF00) >> 8,
}


@cache
def machine(core):
    bodies = (function(f"f{i}", f"{text}\nbx lr") for i, text in enumerate(INSTRUCTIONS))
    return FunctionMachine(compile_for_core([HEADER + "".join(bodies)], core, flags=()), core, model=None)


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7"])
@pytest.mark.parametrize("index", range(len(INSTRUCTIONS)), ids=[t.replace("\n", "; ") for t in INSTRUCTIONS])
@settings(max_examples=30, deadline=None)
@given(a=words, b=words, c=words)
def test_dsp_instruction(core, index, a, b, c):
    assert machine(core).call(f"f{index}", a, b, c).r0 == list(INSTRUCTIONS.values())[index](a, b, c)
