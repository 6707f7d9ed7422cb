"""Reconstruction: weights and biases of a quantized network adapt to everything that is narrow in it.

The class of AdaRound, BRECQ (Li et al., 2021) and QDrop: a simulation of the integers is trained towards the float
network on calibration samples, without labels. Here the whole network learns at once, each layer from the block
boundaries behind it, by straight-through gradients from the solution that quantization found. Integer weights, their
scales and biases are all that changes; bits, and what feature maps are quantized with, stay.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from quantmcu.data import Dataset
from quantmcu.data.dataset import Subset
from quantmcu.errors import QuantMCUError
from quantmcu.ir import Graph, ops
from quantmcu.ir.macs import graph_macs
from quantmcu.program.lower import lower
from quantmcu.quant.calibrate import Progress, in_ir_layout
from quantmcu.quant.reconstruct.derivatives import has_derivative
from quantmcu.quant.reconstruct.parameters import LayerParameters
from quantmcu.quant.reconstruct.simulation import Simulation, Values
from quantmcu.quant.reconstruct.training import BATCH, Training
from quantmcu.quant.tails import up_to_scores

MINIMUM_SAMPLES = 2 * BATCH
_HELD_BACK = 6
"""One sample of so many is held back, at most _MOST_HELD_BACK."""
_MOST_HELD_BACK = 32

_WORK = 4e11
_WORK_OF_A_VALUE = 60
"""The default budget of multiply-accumulates: about one minute of one core. A sample's MACs count three times, for
the derivatives; the other work for one activation is worth so many."""
_MOST_PASSES = 12

_NARROW, _WIDE, _GAIN, _BIAS = (1.6, 0.03), (2.0, 0.02), (0.2, 0.002), (5.0, 0.05)
"""Of weights below 8 bits and of 8 bits, in codes; of their scales, as a share; of biases, in codes of the output:
twice the longest way in all steps, and the largest change of one step. Larger ones at once upset each other."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A network before and after.

    Attributes:
        graph: quantized; the given one where nothing got better.
        improved: whether it did, on samples that were held back.
        passes: over the samples.
        samples, held_back: numbers of samples learned from, and compared on.
        sqnr_db_before, sqnr_db_after: signal to noise of the outputs on the latter; after training, kept or not.
        barriers: operators that no gradient passes: what lies before them learned from block boundaries alone.
    """

    graph: Graph
    improved: bool
    passes: float
    samples: int
    held_back: int
    sqnr_db_before: float
    sqnr_db_after: float
    barriers: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """For result.json."""
        return {
            "improved": self.improved,
            "passes": round(self.passes, 2),
            "samples": self.samples,
            "held_back": self.held_back,
            "sqnr_db_before": round(self.sqnr_db_before, 2),
            "sqnr_db_after": round(self.sqnr_db_after, 2),
            "barriers": list(self.barriers),
        }


def can_reconstruct(graph: Graph, samples: int) -> str | None:
    """None, or why the network can't be reconstructed."""
    if samples < MINIMUM_SAMPLES:
        return f"it needs at least {MINIMUM_SAMPLES} calibration samples, there are {samples}"
    if not any(isinstance(op, ops.Conv2D | ops.Dense) for op in graph.ops):
        return "no layer has weights"
    scores = up_to_scores(graph)
    for op in scores.ops:
        tensor = graph.tensor(op.output)
        if tensor.is_index or tensor.shape[:1] != (1,) or (isinstance(op, ops.Transpose) and op.permutation[0] != 0):
            return f"the output of {op.name} has no batch axis in front"
    for name in scores.outputs:
        if name not in scores.producers or not has_derivative(scores.producers[name]):
            return f"no gradient passes the operator that computes the output {name}"
    return None


def reconstruct(
    graph: Graph,
    quantized: Graph,
    dataset: Dataset,
    *,
    passes: float | None = None,
    advance: Progress | None = None,
) -> Reconstruction:
    """`quantized` with weights and biases that bring its outputs closer to those of `graph`.

    The same samples and passes give the same result. One sample of six is held back: where the outputs' signal to noise
    does not get better on these, the result is `quantized` itself. Of the default number of passes only the first half
    is made where it shows no gain.

    Args:
        graph: float.
        quantized: from it; every activation has parameters, every layer integer weights.
        dataset: calibration data.
        passes: over the samples; None: as many as the budget of work allows.
        advance: told of steps.

    Raises:
        ValueError: `can_reconstruct` says no.
    """
    if (reason := can_reconstruct(quantized, len(dataset))) is not None:
        raise ValueError(reason)
    learned = [_inputs(graph, sample.inputs) for sample in _learned(dataset)]
    others = [_inputs(graph, sample.inputs) for sample in held_back(dataset)]
    wanted = default_passes(graph, len(learned)) if passes is None else passes
    steps = max(1, math.ceil(wanted * len(learned) / BATCH))
    scores = up_to_scores(quantized)
    simulation = Simulation(scores, _parameters(scores, steps))
    plain = graph.with_tensors(replace(tensor, qparams=None) for tensor in graph.tensors.values())
    training = Training(up_to_scores(plain), simulation, learned, steps=steps, mirror=dataset.is_pixels)
    before = training.noise(others)
    trial = _Trial(steps, lambda: training.noise(others) < before, is_over=passes is not None)

    def goes_on(done: int) -> bool:
        if advance is not None:
            advance(done, steps)
        return trial.goes_on(done)

    taken = training.run(goes_on)
    after = training.noise(others)
    trained = {op.name: op for op in simulation.quantized().ops}
    result = quantized.with_ops(trained.get(op.name, op) for op in quantized.ops)
    improved = after < before and _is_representable(result)
    barriers = tuple(op.name for op in scores.ops if not has_derivative(op))
    return Reconstruction(
        result if improved else quantized, improved, taken * BATCH / len(learned), len(learned), len(others),
        _decibels(before), _decibels(after), barriers,
    )  # fmt: skip


@dataclass(eq=False)
class _Trial:
    """The first half of all steps has to gain something, seen at one of four looks at least.

    The noise goes up and down while steps are large: networks that gained 1 to 3 dB in the end had less noise than at
    the start at one of these looks, but some at none of the first two.

    Attributes:
        steps: in all.
        gains: whether the samples held back have less noise now than at the start.
        is_over: nothing is asked any more.
    """

    steps: int
    gains: Callable[[], bool]
    is_over: bool = False

    def goes_on(self, done: int) -> bool:
        """Whether to do more steps after these."""
        looks = [math.ceil(self.steps * part / 8) for part in (1, 2, 3, 4)]
        if self.is_over or done not in looks:
            return True
        self.is_over = self.gains()
        return self.is_over or done < looks[-1]


def held_back(dataset: Dataset) -> Dataset:
    """The samples that reconstruction does not learn from, but is judged by."""
    return Subset(dataset, list(range(0, len(dataset), _HELD_BACK))[:_MOST_HELD_BACK])


def _learned(dataset: Dataset) -> Dataset:
    return Subset(dataset, [index for index in range(len(dataset)) if index % _HELD_BACK])


def default_passes(graph: Graph, samples: int) -> float:
    """How often the default budget of work allows to learn from `samples` samples."""
    values = sum(graph.tensor(op.output).elements for op in graph.ops)
    return min(_MOST_PASSES, _WORK / (samples * (3 * graph_macs(graph) + _WORK_OF_A_VALUE * values)))


def _parameters(graph: Graph, steps: int) -> dict[str, LayerParameters]:
    """Of every layer."""
    found = {}
    for op in graph.ops:
        if isinstance(op, ops.Conv2D | ops.Dense):
            output = graph.tensor(op.output).qparams
            if op.quantized is None or output is None:
                raise ValueError(f"{op.name} is not quantized")
            weights = _NARROW if op.quantized.bits < 8 else _WIDE
            found[op.name] = LayerParameters(
                op,
                output,
                weight_rate=_rate(*weights, steps),
                gain_rate=_rate(*_GAIN, steps),
                bias_rate=_rate(*_BIAS, steps),
            )
    return found


def _rate(way: float, largest: float, steps: int) -> float:
    return min(way / steps, largest)


def _inputs(graph: Graph, inputs: Any) -> Values:
    return {name: np.ascontiguousarray(in_ir_layout(graph, name, inputs[name])) for name in graph.inputs}


def _is_representable(graph: Graph) -> bool:
    """Whether 32 bits suffice for the new integers."""
    try:
        lower(graph)
    except QuantMCUError:
        return False
    return True


def _decibels(noise: float) -> float:
    return -10 * math.log10(max(noise, 1e-12))
