"""dsp.h and requantize.h: the same results from the instructions (both compilers) as from the emulation in C."""

from __future__ import annotations

import ctypes
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from kernel_driver import WARNINGS, host_compiler
from numpy.typing import NDArray

from quantmcu.codegen.single_step import kernel_sources
from quantmcu.emulator.function import FunctionMachine
from quantmcu.emulator.objects import compile_for_core
from quantmcu.program.fixed_point import Requantize

OPERATIONS = [
    "dsp_four(x)", "dsp_two(x)", "dsp_rotate(x, 8)", "dsp_pkhbt(x, y)", "dsp_pkhtb(x, y)", "dsp_halves(x, y)",
    "dsp_smlabb(x, y, HALF(z))", "dsp_smlabt(x, y, HALF(z))", "dsp_smlatb(x, y, HALF(z))", "dsp_smlatt(x, y, HALF(z))",
    "dsp_uqadd8(x, y)", "dsp_uqsub8(x, y)", "dsp_uadd8(x, y)", "dsp_sadd16(x, y)", "dsp_ssub16(x, y)",
    "dsp_qadd16(x, y)", "dsp_uxtb16(x)", "dsp_uxtb16_ror8(x)", "dsp_sxtb16(x)", "dsp_sxtb16_ror8(x)",
    "dsp_uxtab16(x, y)", "dsp_uxtab16_ror8(x, y)", "dsp_smlad(x, y, HALF(z))", "dsp_smladx(x, y, HALF(z))",
    "dsp_smmlar((int32_t)x, (int32_t)y, HALF(z))", "dsp_smlal((int32_t)x, (int32_t)y, HALF(z))",
    "dsp_smlal((int32_t)x, (int32_t)y, HALF(z)) >> 32", "dsp_usat8((int32_t)x)", "dsp_usat8(HALF(x) >> 20)",
    "dsp_usat16_8(x)", "dsp_sum_bytes(x, y)", "dsp_max_bytes(x, y)", "dsp_min_bytes(x, y)",
    "dsp_pack_saturated(HALF(x) >> 20, HALF(y) >> 20, HALF(z) >> 20, 77)",
    "qmcu_requantize_unclamped(HALF(x) >> 12, (int32_t)y, 3, 9)", "qmcu_clamp_bytes(x, dsp_four(3), dsp_four(200))",
]  # fmt: skip

# HALF: sums stay within 31 bits, as those of the kernels do.
TEXT = (
    '#include "requantize.h"\n'
    "#define HALF(word) ((int32_t)(word) >> 2)\n"
    "void apply(const uint32_t *in, uint32_t *out, int32_t count)\n{\n"
    "    for (; count > 0; count--, in += 3) {\n"
    "        const uint32_t x = in[0], y = in[1], z = in[2];\n        (void)y, (void)z;\n"
    + "".join(f"        *out++ = (uint32_t)({operation});\n" for operation in OPERATIONS)
    + "    }\n}\n"
)
COUNT = 300


@cache
def inputs() -> NDArray[np.uint32]:
    """Random words, and those at the edges of bytes, half-words and words."""
    rng = np.random.default_rng(3)
    edges = np.array(
        [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0x7FFF7FFF, 0x80008000, 0x7FFFFFFF, 0x80000000, 2**32 - 1]
    )
    words = rng.integers(0, 2**32, (COUNT, 3))
    words[: COUNT // 2] = rng.choice(edges, (COUNT // 2, 3))
    return words.astype(np.uint32)


@pytest.fixture(scope="module")
def on_host(tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.uint32]:
    """The results of the C emulation."""
    folder = tmp_path_factory.mktemp("dsp")
    source, library = folder / "apply.c", folder / "apply.so"
    source.write_text(TEXT)
    flags = [*WARNINGS, "-O1", "-shared", "-fPIC", "-fwrapv", f"-I{kernel_sources()[0].parent}"]
    subprocess.run([*host_compiler(), *flags, "-o", str(library), str(source)], check=True)
    result = np.zeros((COUNT, len(OPERATIONS)), np.uint32)
    ctypes.CDLL(str(library)).apply(
        inputs().ctypes.data_as(ctypes.c_void_p), result.ctypes.data_as(ctypes.c_void_p), COUNT
    )
    return result


@pytest.mark.parametrize("compiler", [pytest.param("gcc", marks=pytest.mark.gcc), "zig"])
@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4", "cortex-m7"])
def test_instructions_equal_their_emulation(
    core: str, compiler: str, on_host: NDArray[np.uint32], tmp_path: Path
) -> None:
    source = tmp_path / "apply.c"
    source.write_text(TEXT)
    flags = ("-O2", "-fwrapv", *WARNINGS, f"-I{kernel_sources()[0].parent}")
    machine = FunctionMachine(compile_for_core([source], core, flags, compiler), core)
    given = machine.allocate(inputs().tobytes())
    result = machine.allocate(on_host.nbytes)
    machine.call("apply", given, result, COUNT)
    computed = np.frombuffer(machine.read(result, on_host.nbytes), np.uint32).reshape(on_host.shape)
    wrong = [OPERATIONS[i] for i in range(len(OPERATIONS)) if not np.array_equal(computed[:, i], on_host[:, i])]
    assert not wrong


def test_unclamped_requantization_is_the_reference(on_host: NDArray[np.uint32]) -> None:
    """Where nothing saturates and the clamp is wide."""
    x, y = inputs()[:, 0].astype(np.int32), inputs()[:, 1].astype(np.int32)
    accumulator = (x.astype(np.int64) >> 2) >> 12
    column = next(i for i, operation in enumerate(OPERATIONS) if "requantize" in operation)
    result = on_host[:, column].astype(np.int32)
    for index in range(COUNT):
        exact = Requantize(y[index : index + 1], 3, 9, 0, 255).apply(accumulator[index : index + 1])
        assert min(max(int(result[index]), 0), 255) == int(exact[0])
