"""VDQS: entropy and noise of maps, the score, the search under memory and cost limits, and the baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import grouped_network

from quantmcu.codegen.kernel import Core
from quantmcu.codegen.select import select_kernels
from quantmcu.codegen.timeline import memory_timeline
from quantmcu.data import Dataset
from quantmcu.ir import QParams
from quantmcu.patch.stage import StagePlan, split_program
from quantmcu.program.bitops import bitops_of_a_bit, program_bitops
from quantmcu.program.lower import lower
from quantmcu.quant import calibrate, quantize
from quantmcu.quant.divergence import map_divergences
from quantmcu.quant.histogram import StreamingHistogram
from quantmcu.quant.map_costs import FeatureMap, MapOption, code_entropy, feature_maps, noise_ratio
from quantmcu.quant.map_memory import TimelineMemory
from quantmcu.quant.vdqs import random_bits, ranked_bits, scores_of, search_bits, tensor_bits, uniform_bits


def histogram_of(values: np.ndarray) -> StreamingHistogram:
    histogram = StreamingHistogram()
    histogram.add(values.astype(np.float32))
    return histogram


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**16), st.sampled_from([8, 4, 2]))
def test_entropy_and_noise_from_histograms_are_those_of_the_codes(seed: int, bits: int) -> None:
    values = np.random.default_rng(seed).standard_normal(20_000).astype(np.float32)
    top = 2**bits - 1
    qparams = QParams(bits, 6.0 / top, top // 2)
    codes = qparams.quantize(values)
    shares = np.bincount(codes, minlength=top + 1) / values.size
    shares = shares[shares > 0]
    assert code_entropy(histogram_of(values), qparams) == pytest.approx(-(shares * np.log2(shares)).sum(), abs=0.02)
    noise = ((qparams.dequantize(codes) - values) ** 2).mean() / (values**2).mean()
    assert noise_ratio(histogram_of(values), qparams) == pytest.approx(noise, rel=0.03)


def a_map(name: str, cost: float, noise: float, entropies: tuple[float, float] = (6.0, 3.0)) -> FeatureMap:
    options = (MapOption(8, 8 * cost, entropies[0], noise / 256), MapOption(4, 4 * cost, entropies[1], noise))
    return FeatureMap((name,), options)


class Memory:
    """Moments at which some maps of 100 codes live."""

    def __init__(self, *moments: Sequence[str]) -> None:
        self.moments = moments

    def live_bytes(self, bits: Mapping[str, int]) -> list[int]:
        return [sum(100 * bits[name] // 8 for name in names) for names in self.moments]

    def live_maps(self, moment: int) -> frozenset[str]:
        return frozenset(self.moments[moment])


MAPS = (a_map("a", 10, 0.04), a_map("b", 20, 0.01), a_map("c", 5, 0.002), a_map("d", 0, 0.001))


def test_score_weighs_information_against_cost() -> None:
    cheap = scores_of(MAPS, lam=0.0)
    assert {name: cheap[name, 4] for name in "abcd"} == {"a": 0.25, "b": 0.5, "c": 0.125, "d": 0.0}
    assert {cheap[name, 8] for name in "abcd"} == {0.0}
    exact = scores_of(MAPS, lam=1.0, information="sqnr")
    assert exact["a", 4] == pytest.approx(-1.0)
    assert exact["b", 4] == pytest.approx(-0.25)
    assert scores_of(MAPS, lam=1.0, information="entropy")["a", 4] == pytest.approx(-0.5)
    measured = scores_of(MAPS, 1.0, "measured", {("a", 4): 0.1, ("b", 4): 0.2})
    assert (measured["a", 4], measured["b", 4]) == (pytest.approx(-0.5), pytest.approx(-1.0))


def test_search_takes_the_best_scores_first() -> None:
    assert search_bits(MAPS, scores_of(MAPS, 0.99, "sqnr")).bits == {"a": 8, "b": 8, "c": 8, "d": 8}
    found = search_bits(MAPS, scores_of(MAPS, 0.5, "sqnr"))
    assert found.bits == {"a": 8, "b": 4, "c": 4, "d": 8}
    assert found.cost == 80 + 80 + 20 + 0
    assert found.fits
    assert found.reaches


def test_search_lowers_until_the_cost_target_is_reached() -> None:
    found = search_bits(MAPS, scores_of(MAPS, 1.0, "sqnr"), cost_target=200.0)
    assert found.cost <= 200
    assert found.reaches
    assert found.bits == {"a": 8, "b": 4, "c": 8, "d": 8}  # c, lowered first, is raised again: b was enough
    impossible = search_bits(MAPS, scores_of(MAPS, 1.0, "sqnr"), cost_target=1.0)
    assert not impossible.reaches
    assert impossible.cost == 140


def test_search_keeps_the_memory_limit() -> None:
    memory = Memory("ab", "bcd", "d")
    found = search_bits(MAPS, scores_of(MAPS, 1.0, "sqnr"), memory=memory, memory_limit=250)
    assert found.fits
    assert found.peak_bytes == 250
    assert found.bits == {"a": 8, "b": 8, "c": 8, "d": 4}
    tight = search_bits(MAPS, scores_of(MAPS, 1.0, "sqnr"), memory=memory, memory_limit=120)
    assert not tight.fits
    assert tight.peak_bytes == 150


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**16))
def test_search_is_sound_for_any_maps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    maps = [a_map(str(i), float(rng.integers(0, 50)), float(rng.uniform(0, 0.1))) for i in range(8)]
    memory = Memory(*([str(i) for i in rng.choice(8, 3, replace=False)] for _ in range(6)))
    target, limit = float(rng.integers(0, 1600)), int(rng.integers(150, 320))
    scores = scores_of(maps, float(rng.uniform()), "sqnr")
    found = search_bits(maps, scores, cost_target=target, memory=memory, memory_limit=limit)
    assert found.fits == (max(memory.live_bytes(found.bits)) <= limit)
    assert found.fits or limit < 150
    assert found.reaches == (found.cost <= target)
    assert found.reaches or all(found.bits[m.name] == 4 for m in maps if m.options[0].cost)


def test_baselines() -> None:
    assert uniform_bits(MAPS, 4) == dict.fromkeys("abcd", 4)
    assert ranked_bits(MAPS, 4, 250.0) == {"a": 8, "b": 4, "c": 4, "d": 8}
    for seed in range(4):
        bits = random_bits(MAPS, 4, 230.0, seed)
        assert sum(m.option(bits[m.name]).cost for m in MAPS) <= 230
    assert random_bits(MAPS, 4, 230.0, 1) == random_bits(MAPS, 4, 230.0, 1)


def test_network_end_to_end(images: Dataset) -> None:
    graph = grouped_network()
    calibration = calibrate(graph, images)
    program = lower(quantize(graph, calibration))
    patched = split_program(program, [StagePlan("expand", (3, 3))])
    a_bit = bitops_of_a_bit(patched)
    assert program_bitops(patched) == 8 * sum(a_bit[name] for name in ("x", "a", "b")) + 8 * a_bit["e"]
    assert program_bitops(patched) > program_bitops(program) == 64 * (6 * 12 * (16 * 27 + 8 * 12 + 24 * 8) + 7 * 24)
    costs = {(name, bits): cost * float(bits) for name, cost in a_bit.items() for bits in (8, 4)}
    maps = feature_maps(graph, calibration, costs)
    assert [m.names for m in maps] == [("a",), ("b",), ("c",), ("d", "e")]
    divergence = map_divergences(graph, calibration, maps, images)
    assert set(divergence) == {(m.name, 4) for m in maps}
    assert all(0 < value < 0.2 for value in divergence.values())
    selections = select_kernels(patched, Core("cortex-m4", has_dsp=False, has_fpu=False))
    timeline = memory_timeline(patched, selections)
    channels = {name: tensor.shape[-1] for name, tensor in graph.tensors.items()}
    memory = TimelineMemory(timeline, maps, channels, [patched.steps[0].name])
    eight = memory.live_bytes(uniform_bits(maps, 8))
    limit = max(eight) - 60
    scores = scores_of(maps, 0.9, "measured", divergence)
    found = search_bits(maps, scores, memory=memory, memory_limit=limit)
    assert found.fits
    assert 4 in found.bits.values()
    quantized = quantize(graph, calibration, activation_bits=tensor_bits(maps, found.bits))
    narrow = split_program(lower(quantized), [StagePlan("expand", (3, 3))])
    chosen = select_kernels(narrow, Core("cortex-m4", has_dsp=False, has_fpu=False))
    assert program_bitops(narrow) <= program_bitops(patched)
    assert len(memory_timeline(narrow, chosen).slots) == len(timeline.slots)
