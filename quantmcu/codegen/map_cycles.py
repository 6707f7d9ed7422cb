"""Predicted cycles of a network as a function of the bits of its feature maps: what fewer bits cost or save in time."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from quantmcu.codegen.kernel import Core, StepContext
from quantmcu.codegen.registry import Facts, choose_kernel, count_geometries
from quantmcu.errors import QuantMCUError
from quantmcu.program import steps
from quantmcu.program.bitops import executed_steps
from quantmcu.program.program import Program


class MapCycles:
    """What the kernels of a program's steps take with other bits of the maps around them; everything else as it is.

    A step's kernel depends on all maps that it reads and writes, so the cycles of a map depend on its neighbours' bits.
    """

    def __init__(self, program: Program, core: Core, owners: Mapping[str, str]) -> None:
        """`owners`: by value, the feature map that it is (a part of); other values keep their bits."""
        executed = list(executed_steps(program))
        contexts = [StepContext(step, inputs, output, core) for step, inputs, output in executed]
        sources = {s.output: s.inputs[0] for s, _, _ in executed if isinstance(s, steps.Reshape | steps.Slice)}
        self._steps = count_geometries(contexts, [1] * len(contexts))
        self._facts = Facts()
        self._known: dict[tuple[int, tuple[int, ...]], float] = {}
        self._owners: list[tuple[str | None, ...]] = []
        self._touching: defaultdict[str, list[int]] = defaultdict(list)
        for index, (context, _) in enumerate(self._steps):
            values = (*context.inputs, context.output)
            self._owners.append(tuple(_owner(value.name, owners, sources) for value in values))
            for name in {*self._owners[-1]} - {None}:
                self._touching[str(name)].append(index)

    def around(self, name: str, bits: Mapping[str, int]) -> float:
        """Of the steps that read or write the feature map `name`, where maps have these bits.

        Infinite where no kernel computes one of them.
        """
        return self._sum(self._touching.get(name, ()), bits)

    def total(self, bits: Mapping[str, int]) -> float:
        """Of all steps."""
        return self._sum(range(len(self._steps)), bits)

    def _sum(self, indices: Iterable[int], bits: Mapping[str, int]) -> float:
        return sum(self._cycles(index, bits) for index in indices)

    def _cycles(self, index: int, bits: Mapping[str, int]) -> float:
        context, runs = self._steps[index]
        values = (*context.inputs, context.output)
        own = tuple(
            value.bits if name is None else bits[name] for value, name in zip(values, self._owners[index], strict=True)
        )
        if (index, own) not in self._known:
            narrow = [replace(value, bits=count) for value, count in zip(values, own, strict=True)]
            changed = replace(context, inputs=tuple(narrow[:-1]), output=narrow[-1])
            try:
                cycles = self._facts.of(choose_kernel([(changed, 1)], self._facts), changed).cycles * runs
            except QuantMCUError:
                cycles = math.inf
            self._known[index, own] = cycles
        return self._known[index, own]


def _owner(name: str, owners: Mapping[str, str], sources: Mapping[str, str]) -> str | None:
    """The feature map that a value is, or that it renames or cuts."""
    while name not in owners and name in sources:
        name = sources[name]
    return owners.get(name)
