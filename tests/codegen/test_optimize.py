"""Kernels for speed, size, and both: what is chosen, and what it is worth."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import quantmcu
from quantmcu.codegen.kernel import Core
from quantmcu.codegen.optimize import OPTIMIZE, constant_bytes, generated_code
from quantmcu.codegen.select import AnySelection, flat, limit_constants, limit_generated_code, select_kernels
from quantmcu.emulator import compile_for_core
from quantmcu.emulator.elf import Elf
from quantmcu.errors import UsageError
from quantmcu.program import steps
from quantmcu.program.fixed_point import requantize_for
from quantmcu.program.program import Program, Value
from quantmcu.resources import data_folder

CHANNELS = (16, 24, 32, 16)


def network(bits: int = 8) -> Program:
    """Three convolutions of different shapes, so that each wants code of its own."""
    rng = np.random.default_rng(0)
    values = {f"v{i}": Value(f"v{i}", (1, 8, 8, channels), bits) for i, channels in enumerate(CHANNELS)}
    limit, highest = 2 ** (bits - 1) - 1, 2**bits - 1
    convolutions = tuple(
        steps.Convolution(
            name=f"c{i}",
            inputs=(f"v{i}",),
            output=f"v{i + 1}",
            weight=rng.integers(-limit, limit + 1, (after, 3 - 2 * (i % 2), 3 - 2 * (i % 2), before)).astype(np.int8),
            weight_bits=bits,
            bias=np.zeros(after, np.int32),
            requantize=requantize_for(np.full(after, 0.001), highest // 2, 0, highest),
            input_zero_point=highest // 2,
            pads=(1, 1, 1, 1) if i % 2 == 0 else (0, 0, 0, 0),
        )
        for i, (before, after) in enumerate(pairwise(CHANNELS))
    )
    return Program(name="n", inputs=("v0",), outputs=("v3",), values=values, steps=convolutions)


def selected(optimize: str, core: str = "cortex-m7") -> list[AnySelection]:
    return select_kernels(network(), Core(core, True, True, optimize))


def cycles(selections: list[AnySelection]) -> float:
    return sum(selection.cycles for selection in flat(selections))


def code(selections: list[AnySelection]) -> dict[str, int]:
    found: dict[str, int] = {}
    for selection in flat(selections):
        assert selection.kernel is not None
        found |= generated_code(selection.kernel.lower(selection.context))
    return found


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7"])
def test_size_has_less_code_and_speed_fewer_cycles(core: str) -> None:
    by = {optimize: selected(optimize, core) for optimize in OPTIMIZE}
    assert cycles(by["speed"]) == cycles(by["balanced"]) < cycles(by["size"]), "so small a network is below the limit"
    assert sum(code(by["size"]).values()) < sum(code(by["speed"]).values())


def test_a_limit_gives_up_the_code_that_saves_least() -> None:
    fast = selected("speed")
    whole = sum(code(fast).values())
    previous = cycles(fast)
    for limit in (whole, whole - 1, whole // 2, 0):
        limited = limit_generated_code(fast, limit)
        assert sum(code(limited).values()) <= limit
        assert cycles(limited) >= previous
        previous = cycles(limited)
    assert cycles(limit_generated_code(fast, whole)) == cycles(fast)


def constants(selections: list[AnySelection]) -> int:
    return sum(constant_bytes(s.kernel.lower(s.context)) for s in flat(selections) if s.kernel is not None)


def test_a_limit_of_constants_gives_up_wide_weights() -> None:
    core = Core("cortex-m7", True, True, "speed")
    fast = select_kernels(network(4), core)
    weights = sum(step.weight.size for step in network(4).steps if isinstance(step, steps.Convolution))
    assert constants(fast) > 2 * weights
    whole = constants(fast) + sum(code(fast).values())
    previous = cycles(fast)
    for limit in (whole, whole - 1, whole - weights):
        limited = select_kernels(network(4), core, constant_bytes=limit)
        assert constants(limited) + sum(code(limited).values()) <= limit
        assert cycles(limited) >= previous
        previous = cycles(limited)
    smallest = limit_constants(fast, 0)
    names = {s.kernel.name for s in flat(smallest) if s.kernel is not None}
    assert "packed_outer_dense_large_generated" in names
    assert all("_dense_" in name for name in names), "no kernel that loses many cycles for a few bytes more"
    assert constants(smallest) < weights
    assert constants(limit_constants(smallest, 0)) == constants(smallest), "as few as possible"


@pytest.mark.gcc
def test_estimates_of_generated_code_are_those_of_the_compiler() -> None:
    (first, *_) = flat(selected("speed"))
    assert first.kernel is not None
    lowered = first.kernel.lower(first.context)
    kernels = data_folder("firmware") / "kernels"
    blocks = {name: text for name, text in lowered.generated.items() if "__attribute__((naked))" in text}
    assert blocks
    flags = ["-O2", "-std=c11", f"-I{kernels}"]
    sizes = {f.name: f.size for f in Elf(compile_for_core(list(blocks.values()), "cortex-m7", flags)).functions}
    for name in blocks:
        assert generated_code(lowered)[name] == pytest.approx(sizes[name.removesuffix(".c")], rel=0.15, abs=80)


def test_an_unknown_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'fast' is nothing to optimize for") as error:
        quantmcu.compile(tmp_path / "m.onnx", "nucleo-f767", calibration="random", optimize="fast")
    assert error.value.hint == "one of balanced, speed, size"
