"""The float network behind one of its activations: how far the outputs move when that activation changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quantmcu.data import Dataset
from quantmcu.ir import Graph, QParams, ops
from quantmcu.parallel import in_parallel
from quantmcu.quant.calibrate import in_ir_layout
from quantmcu.quant.sessions import quantizing_session

FloatArray = NDArray[np.float32]
Values = dict[str, FloatArray]
Section = Callable[[Values], list[FloatArray]]


@dataclass(frozen=True, eq=False)
class Tail:
    """What follows the activation `name`.

    Attributes:
        samples: by sample, all activations that live right after `name` was computed.
        before: by sample, those that lived right before: what its operator reads is among them.
    """

    name: str
    samples: Sequence[Values]
    before: Sequence[Values]
    _run: Section
    _wanted: Sequence[list[FloatArray]]

    def movement(self, change: Callable[[int], FloatArray], beyond: float = math.inf) -> float:
        """Noise to signal ratio of the outputs (their mean) with `change(sample)` as the activation.

        `change` is called by several threads at a time. Once the noise of some samples alone makes more than `beyond`,
        the rest are not run, and the result is what is known till then: too much already.
        """

        def noise_of(sample: int) -> list[float]:
            got = self._run({**self.samples[sample], self.name: change(sample)})
            return [_energy(a - b) for a, b in zip(got, self._wanted[sample], strict=True)]

        signal = np.sum([[_energy(output) for output in wanted] for wanted in self._wanted], axis=0)
        signal = np.maximum(signal, np.finfo(np.float64).tiny)
        noises: list[list[float]] = []
        moved = 0.0
        for noise in in_parallel(noise_of, range(len(self.samples))):
            noises.append(noise)
            moved = float(np.mean(np.sum(noises, axis=0) / signal))
            if moved > beyond:
                break
        return moved

    def movement_when(self, qparams: QParams, beyond: float = math.inf) -> float:
        """The movement when the activation is rounded to codes."""
        return self.movement(
            lambda sample: qparams.dequantize(qparams.quantize(self.samples[sample][self.name])), beyond
        )


def _energy(values: FloatArray) -> float:
    return float(np.sum(values**2, dtype=np.float64))


def tails(graph: Graph, dataset: Dataset, names: Collection[str]) -> Iterator[Tail]:
    """The tails behind the activations `names` of the float `graph`, in the order of their computation.

    Memory: what lives at one moment, of all samples.
    """
    graph = _measured(graph)
    live = [{name: _input(graph, name, sample.inputs[name]) for name in graph.inputs} for sample in dataset]
    whole = section_runner(graph, graph.ops, graph.outputs)
    wanted = list(in_parallel(whole, live))
    for name in graph.inputs:
        if name in names:
            yield Tail(name, live, live, whole, wanted)
    rests = _Rests(graph)
    for index, op in enumerate(graph.ops):
        before, needed = live, rests.needed(index + 1)
        step = section_runner(graph, (op,), op.outputs)
        live = [
            _kept(values, needed) | dict(zip(op.outputs, results, strict=True))
            for values, results in zip(live, in_parallel(step, live), strict=True)
        ]
        if op.outputs[0] in names:
            yield Tail(op.outputs[0], live, before, rests.runner(index + 1), wanted)


def _kept(values: Values, needed: Collection[str]) -> Values:
    return {name: value for name, value in values.items() if name in needed}


class _Rests:
    """Runs the rest of a network from any operator on.

    A session of its own for every rest would cost more to make than to run. So a network of n operators is cut into
    about sqrt(n) blocks: the rest from some operator on is the rest of its block, and one session for all blocks that
    follow, which serves the whole block.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._block = max(1, math.isqrt(len(graph.ops)))
        self._following: tuple[int, Section] | None = None

    def needed(self, start: int) -> set[str]:
        """What the operators from number `start` on read, and the outputs."""
        return {name for op in self.graph.ops[start:] for name in op.inputs} | set(self.graph.outputs)

    def runner(self, start: int) -> Section:
        """From the activations that live before operator number `start` to the network's outputs."""
        graph = self.graph
        end = min(-(-start // self._block) * self._block, len(graph.ops))
        made = set(graph.inputs).union(*(op.outputs for op in graph.ops[:end]))
        crossing = sorted(self.needed(end) & made)
        block, following = section_runner(graph, graph.ops[start:end], crossing), self._from(end)
        return lambda values: following(dict(zip(crossing, block(values), strict=True)))

    def _from(self, start: int) -> Section:
        if self._following is None or self._following[0] != start:
            self._following = start, section_runner(self.graph, self.graph.ops[start:], self.graph.outputs)
        return self._following[1]


def section_runner(graph: Graph, section: Sequence[ops.Op], outputs: Sequence[str]) -> Section:
    """Runs some consecutive operators: from the activations that live before them to `outputs`, in the IR's shapes.

    Outputs that lived before are passed on.
    """
    produced = {name for op in section for name in op.outputs}
    computed = tuple(name for name in outputs if name in produced)
    read = [name for op in section for name in op.inputs]
    inputs = tuple(n for n in dict.fromkeys(read) if n not in produced and graph.tensor(n).data is None)
    if not computed:
        return lambda values: [values[name] for name in outputs]
    part = replace(graph, inputs=inputs, outputs=computed, input_layouts=(), output_layouts=()).with_ops(section)
    session = quantizing_session(part)

    def run(values: Values) -> list[FloatArray]:
        results = dict(zip(computed, session.run(computed, {name: values[name] for name in inputs}), strict=True))
        return [results[name] if name in results else values[name] for name in outputs]

    return run


def _measured(graph: Graph) -> Graph:
    """The float graph without quantization parameters, `up_to_scores`."""
    graph = graph.with_tensors(replace(t, qparams=None) for t in graph.tensors.values() if t.qparams is not None)
    return up_to_scores(graph)


def up_to_scores(graph: Graph) -> Graph:
    """The graph without the Softmax and ArgMax at its end; all shapes are the IR's, those of the outputs too.

    Probabilities saturate: they hide how far the scores move.
    """
    outputs = []
    for name in graph.outputs:
        writer = graph.producers.get(name)
        while isinstance(writer, ops.Softmax | ops.ArgMax):
            name = writer.inputs[0]
            writer = graph.producers.get(name)
        outputs.append(name)
    needed = set(outputs)
    kept: list[ops.Op] = []
    for op in reversed(graph.ops):
        if needed & set(op.outputs):
            kept.append(op)
            needed |= set(op.inputs)
    return replace(graph, outputs=tuple(dict.fromkeys(outputs)), output_layouts=()).with_ops(kept[::-1])


def _input(graph: Graph, name: str, value: FloatArray) -> FloatArray:
    return np.ascontiguousarray(in_ir_layout(graph, name, value))
