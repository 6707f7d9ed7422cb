"""Predicted cycles of a network as a function of the bits of its feature maps: what fewer bits cost or save in time."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from quantmcu.codegen.kernel import Core, StepContext
from quantmcu.codegen.registry import Facts, choose_kernel, count_geometries
from quantmcu.errors import QuantMCUError
from quantmcu.program import steps
from quantmcu.program.bitops import executed_steps
from quantmcu.program.program import Program, Value

Contexts = Sequence[tuple[StepContext, float]]
"""The geometries of a step, and how often each runs."""


class ExecutedSteps:
    """The steps of a program, each with all its geometries, where the maps around it may have other bits."""

    def __init__(self, program: Program, core: Core, owners: Mapping[str, str]) -> None:
        """`owners`: by value, the feature map that it is (a part of); other values keep their bits."""
        executed = list(executed_steps(program))
        contexts = [StepContext(step, inputs, output, core) for step, inputs, output in executed]
        sources = {s.output: s.inputs[0] for s, _, _ in executed if isinstance(s, steps.Reshape | steps.Slice)}
        self.contexts: defaultdict[str, list[tuple[StepContext, float]]] = defaultdict(list)
        for context, runs in count_geometries(contexts, [1] * len(contexts)):
            self.contexts[context.step.name].append((context, runs))
        self._owners = {
            name: [tuple(_owner(value.name, owners, sources) for value in _values(context)) for context, _ in found]
            for name, found in self.contexts.items()
        }

    def layers(self) -> dict[str, str]:
        """By step, the layer whose weights it multiplies."""
        firsts = {name: found[0][0].step for name, found in self.contexts.items()}
        return {name: step.layer for name, step in firsts.items() if isinstance(step, steps.Convolution)}

    def touching(self) -> dict[str, list[str]]:
        """By feature map, the steps that read or write it."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for name, owners in self._owners.items():
            for owner in dict.fromkeys(owner for row in owners for owner in row if owner is not None):
                found[owner].append(name)
        return found

    def bits_around(self, name: str, bits: Mapping[str, int]) -> tuple[tuple[int, ...], ...]:
        """Of the values around the step `name` in each geometry, where feature maps have these bits."""
        return tuple(
            tuple(
                value.bits if owner is None else bits[owner]
                for value, owner in zip(_values(context), owners, strict=True)
            )
            for (context, _), owners in zip(self.contexts[name], self._owners[name], strict=True)
        )

    def narrowed(self, name: str, around: Sequence[Sequence[int]]) -> Contexts:
        """The geometries of the step `name` with these bits of the values around it."""
        found = []
        for (context, runs), own in zip(self.contexts[name], around, strict=True):
            values = [replace(value, bits=count) for value, count in zip(_values(context), own, strict=True)]
            found.append((replace(context, inputs=tuple(values[:-1]), output=values[-1]), runs))
        return found


class MapCycles:
    """What the kernels of a program's steps take with other bits of the maps around them; everything else as it is.

    A step's kernel depends on all maps that it reads and writes, so the cycles of a map depend on its neighbours' bits.
    """

    def __init__(self, program: Program, core: Core, owners: Mapping[str, str]) -> None:
        """`owners`: see `ExecutedSteps`."""
        self._steps = ExecutedSteps(program, core, owners)
        self._touching = self._steps.touching()
        self._facts = Facts()
        self._known: dict[tuple[object, ...], float] = {}

    def around(self, name: str, bits: Mapping[str, int]) -> float:
        """Of the steps that read or write the feature map `name`, where maps have these bits.

        Infinite where no kernel computes one of them.
        """
        return self._sum(self._touching.get(name, ()), bits)

    def total(self, bits: Mapping[str, int]) -> float:
        """Of all steps."""
        return self._sum(self._steps.contexts, bits)

    def _sum(self, names: Iterable[str], bits: Mapping[str, int]) -> float:
        return sum(self._cycles(name, bits) for name in names)

    def _cycles(self, name: str, bits: Mapping[str, int]) -> float:
        around = self._steps.bits_around(name, bits)
        if (name, around) not in self._known:
            contexts = self._steps.narrowed(name, around)
            try:
                kernel = choose_kernel(contexts, self._facts)
                cycles = sum(self._facts.of(kernel, context).cycles * runs for context, runs in contexts)
            except QuantMCUError:
                cycles = math.inf
            self._known[name, around] = cycles
        return self._known[name, around]


def _values(context: StepContext) -> tuple[Value, ...]:
    return (*context.inputs, context.output)


def _owner(name: str, owners: Mapping[str, str], sources: Mapping[str, str]) -> str | None:
    """The feature map that a value is, or that it renames or cuts."""
    while name not in owners and name in sources:
        name = sources[name]
    return owners.get(name)
