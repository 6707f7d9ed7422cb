"""Training of a simulated network towards the float one on calibration samples; no labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from quantmcu.ir import Graph
from quantmcu.parallel import in_parallel, one_blas_thread
from quantmcu.quant.reconstruct.boundaries import block_boundaries
from quantmcu.quant.reconstruct.simulation import LayerGradients, Simulation, Values
from quantmcu.quant.tails import section_runner

Array = NDArray[np.float32]

BATCH = 8
_WARM_UP = 10
_SAMPLE_VALUES = 8_000_000
"""So many activations are computed at once by a thread, at most (or one sample's)."""

_OUTPUT_SHARE = 0.5
"""Of the loss; the rest is divided among the boundaries of blocks."""


class Training:
    """Steps of Adam, on batches of BATCH samples in random but repeatable order.

    The loss is the squared distance of the activations at block boundaries and outputs from the float network's, each
    divided by the variance that the activation has there. Every layer gets gradients from all boundaries behind it.
    """

    def __init__(
        self, graph: Graph, simulation: Simulation, samples: Sequence[Values], *, steps: int, mirror: bool = False
    ) -> None:
        """graph: float, without quantization parameters; samples: inputs in the IR's shapes; mirror: at random."""
        self._simulation, self._samples, self._steps = simulation, samples, steps
        self._mirror = mirror
        inner = block_boundaries(simulation.graph)
        self._names = (*inner, *graph.outputs)
        self._float = section_runner(graph, graph.ops, self._names)
        first = [self._targets(values) for values in samples[:BATCH]]
        shares = [(1 - _OUTPUT_SHARE) / len(inner)] * len(inner) if inner else []
        shares += [(_OUTPUT_SHARE if inner else 1.0) / len(graph.outputs)] * len(graph.outputs)
        self._weights = {
            name: share / max(_variance([targets[name] for targets in first]), float(np.finfo(np.float32).tiny))
            for name, share in zip(self._names, shares, strict=True)
        }
        elements = sum(graph.tensor(op.output).elements for op in graph.ops)
        self._at_once = max(1, min(BATCH // 2, _SAMPLE_VALUES // max(elements, 1)))

    def run(self, goes_on: Callable[[int], bool]) -> int:
        """All steps, or those until `goes_on`, asked with the number of steps done, says no; returns how many."""
        order = self._order()
        with one_blas_thread():
            for step in range(self._steps):
                self._learn([next(order) for _ in range(BATCH)])
                warm = min(1.0, (step + 1) / _WARM_UP)
                share = warm * 0.5 * (1 + math.cos(math.pi * step / self._steps))
                for layer in self._simulation.parameters.values():
                    for parameter in layer.parameters:
                        parameter.step(share)
                if not goes_on(step + 1):
                    return step + 1
        return self._steps

    def noise(self, samples: Sequence[Values]) -> float:
        """Noise to signal ratio of the outputs on `samples` (their mean over outputs)."""
        outputs = self._simulation.graph.outputs
        noise, signal = np.zeros(len(outputs)), np.zeros(len(outputs))
        with one_blas_thread():
            for first in range(0, len(samples), self._at_once):
                part = samples[first : first + self._at_once]
                targets = _stacked([self._targets(values) for values in part])
                found = self._simulation.run(_stacked(part), outputs, learn=False).reals
                noise += [float(np.sum((found[name] - targets[name]) ** 2, dtype=np.float64)) for name in outputs]
                signal += [float(np.sum(targets[name] ** 2, dtype=np.float64)) for name in outputs]
        return float(np.mean(noise / np.maximum(signal, np.finfo(np.float64).tiny)))

    def _learn(self, batch: Sequence[Values]) -> None:
        """Adds the gradients of a batch: parts of it are worked on side by side, and added in their order."""
        parts = [batch[first : first + self._at_once] for first in range(0, len(batch), self._at_once)]
        for found in in_parallel(lambda part: self._gradients(part, len(batch)), parts):
            for layer, weight, bias in found:
                layer.add_gradients(weight, bias)

    def _gradients(self, part: Sequence[Values], batch: int) -> Sequence[LayerGradients]:
        """What `part` contributes to the gradients of `batch` samples."""
        targets = _stacked([self._targets(values) for values in part])
        done = self._simulation.run(_stacked(part), self._names, learn=True)
        gradients = {}
        for name, weight in self._weights.items():
            difference = done.reals[name] - targets[name]
            difference *= np.float32(2 * weight * len(part) / (batch * difference.size))
            gradients[name] = difference
        return self._simulation.gradients(done, gradients)

    def _targets(self, values: Values) -> Values:
        return dict(zip(self._names, self._float(values), strict=True))

    def _order(self) -> Iterator[Values]:
        """The samples, all of them before one comes again."""
        generator = np.random.default_rng(0)
        while True:
            for index in generator.permutation(len(self._samples)):
                sample = self._samples[index]
                yield _mirrored(sample) if self._mirror and generator.random() < 0.5 else sample


def _mirrored(sample: Values) -> Values:
    """Left and right of the maps exchanged."""
    return {name: np.ascontiguousarray(x[:, :, ::-1]) if x.ndim == 4 else x for name, x in sample.items()}


def _stacked(samples: Sequence[Mapping[str, Array]]) -> Values:
    return {name: np.concatenate([values[name] for values in samples]) for name in samples[0]}


def _variance(samples: Sequence[Array]) -> float:
    """Of an activation's values about the means of their channels."""
    rows = np.concatenate([x.reshape(-1, x.shape[-1]) for x in samples])
    if len(rows) <= BATCH:  # one row a sample says nothing of single channels
        return float(np.var(rows, dtype=np.float64))
    return float(np.var(rows, axis=0, dtype=np.float64).mean())
