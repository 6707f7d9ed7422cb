"""Predicted cycles as a function of the bits of weights and feature maps together, within a budget of flash."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from quantmcu.codegen.flash_limits import MOST_CYCLES_PER_BYTE
from quantmcu.codegen.kernel import Core
from quantmcu.codegen.map_cycles import Contexts, ExecutedSteps
from quantmcu.codegen.optimize import generated_code_limit
from quantmcu.codegen.registry import Facts, FlashFacts, kernels_for
from quantmcu.program.program import Program
from quantmcu.quant.joint import JointBits


@dataclass(frozen=True)
class KernelCost:
    """What a kernel takes for a step: cycles of an inference, and flash."""

    cycles: float
    flash: FlashFacts


@dataclass(frozen=True)
class StepCost:
    """What a step takes.

    Attributes:
        kernels: the fastest, then slower ones of ever fewer constants, each byte saved dearer than the one before.
        shared: the fastest kernel without generated code.
    """

    kernels: tuple[KernelCost, ...]
    shared: KernelCost

    @cached_property
    def savings(self) -> tuple[tuple[float, int], ...]:
        """What each kernel saves of the one before it: cycles it adds for each byte, bytes."""
        return tuple((_price(wide, small), _saved(wide, small)) for wide, small in pairwise(self.kernels))


class JointCycles:
    """Predicted cycles of a network whose weights and maps may have other bits, in the patches of one plan.

    Packed multiplication wants its words of weights spread out in flash. Where that does not hold all of them, the
    kernels that take their place are those that cost the fewest cycles for each byte; generated code is limited as
    well (quantmcu/codegen/flash_limits.py, of which this is a quick model).
    """

    def __init__(
        self, programs: Mapping[int, Program], core: Core, owners: Mapping[str, str], constant_bytes: int
    ) -> None:
        """What all answers depend on.

        Args:
            programs: by bits, the network with 8-bit maps and all weights that can have so few of these bits.
            core: to run on.
            owners: by value, the feature map that it is (a part of).
            constant_bytes: flash for constants and generated code.
        """
        self._steps = {bits: ExecutedSteps(program, core, owners) for bits, program in programs.items()}
        self._facts = {bits: Facts() for bits in programs}
        self._layers = self._steps[8].layers()
        self._limit, self._core = constant_bytes, core
        self._known: dict[tuple[object, ...], StepCost] = {}

    def total(self, bits: JointBits) -> float:
        """Cycles of all steps; infinite where no kernel computes one of them."""
        costs = [self._cost(name, bits) for name in self._steps[8].contexts]
        chosen = _within_flash(costs, self._limit)
        if self._core.optimize == "balanced":
            _limit_code(costs, chosen, generated_code_limit(self._limit))
        return sum(kernel.cycles for kernel in chosen)

    def _cost(self, name: str, bits: JointBits) -> StepCost:
        count = bits.weights.get(self._layers.get(name, ""), 8)
        around = self._steps[count].bits_around(name, bits.maps)
        key = (name, count, around)
        if key not in self._known:
            self._known[key] = _step_cost(self._steps[count].narrowed(name, around), self._facts[count])
        return self._known[key]


def _within_flash(costs: Sequence[StepCost], limit: int) -> list[KernelCost]:
    """The kernel of each step, such that constants and generated code have at most `limit` bytes where they can."""
    chosen = [cost.kernels[0] for cost in costs]
    excess = sum(kernel.flash.constants for kernel in chosen) + sum(_code(chosen).values()) - limit
    if excess > 0:
        steps = ((i, n, saving) for i, cost in enumerate(costs) for n, saving in enumerate(cost.savings, 1))
        for index, number, (_, saved) in sorted(steps, key=lambda step: (step[2][0], step[1])):
            chosen[index] = costs[index].kernels[number]
            excess -= saved
            if excess <= 0:
                break
    return chosen


def _limit_code(costs: Sequence[StepCost], chosen: list[KernelCost], limit: int) -> None:
    """Of those files that fewest cycles for each byte are lost without, none is kept."""
    while sum((code := _code(chosen)).values()) > limit:
        losses = defaultdict[str, float](float)
        for cost, kernel in zip(costs, chosen, strict=True):
            for file in kernel.flash.code:
                losses[file] += cost.shared.cycles - kernel.cycles
        dropped = min(code, key=lambda file: (losses[file] / code[file], file))
        chosen[:] = [
            cost.shared if dropped in kernel.flash.code else kernel for cost, kernel in zip(costs, chosen, strict=True)
        ]


def _code(chosen: Sequence[KernelCost]) -> dict[str, int]:
    """Bytes by file of generated code, which steps may share."""
    return {file: size for kernel in chosen for file, size in kernel.flash.code.items()}


def _step_cost(contexts: Contexts, facts: Facts) -> StepCost:
    """Of a step with these geometries."""
    first = contexts[0][0]
    kernels = kernels_for(first.step)
    answers = {kernel: [(facts.of(kernel, context), runs) for context, runs in contexts] for kernel in kernels}
    usable = [
        (sum(answer.cycles * runs for answer, runs in found), kernel.order, kernel.name, kernel)
        for kernel, found in answers.items()
        if all(answer.refusal is None for answer, _ in found)
    ]
    usable.sort(key=lambda item: item[:3])
    found: list[KernelCost] = []
    shared = None
    for cycles, *_, kernel in usable:
        is_near = not found or cycles <= found[0].cycles + MOST_CYCLES_PER_BYTE * found[0].flash.constants
        if not is_near and shared is not None:
            break
        cost = KernelCost(cycles, facts.flash_of(kernel, first))
        shared = shared or (None if cost.flash.code else cost)
        if is_near and (not found or cost.flash.constants < found[-1].flash.constants):
            found.append(cost)
    impossible = KernelCost(math.inf, FlashFacts(0, {}))
    hull = _hull(found) or [impossible]
    return StepCost(tuple(hull), shared or impossible)


def _hull(frontier: Sequence[KernelCost]) -> list[KernelCost]:
    """Those on the lower convex hull, so that from one to the next a byte costs more; as far as that is worth it."""
    hull: list[KernelCost] = []
    for kernel in frontier:
        while len(hull) > 1 and _price(hull[-2], kernel) <= _price(hull[-2], hull[-1]):
            hull.pop()
        hull.append(kernel)
    while len(hull) > 1 and _price(hull[-2], hull[-1]) > MOST_CYCLES_PER_BYTE:
        hull.pop()
    return hull


def _saved(wide: KernelCost, small: KernelCost) -> int:
    return wide.flash.constants - small.flash.constants


def _price(wide: KernelCost, small: KernelCost) -> float:
    """Cycles for each byte that the second saves."""
    return (small.cycles - wide.cycles) / _saved(wide, small)
