"""Bits of each layer's weights under a flash budget: the loss of accuracy is measured, the bytes are counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from quantmcu.data import Dataset
from quantmcu.errors import QuantMCUError
from quantmcu.ir import Graph, ops
from quantmcu.quant.calibrate import Progress
from quantmcu.quant.tails import section_runner, tails

LOSS_SAMPLES = 16
"""Samples on which the loss of a layer is measured."""


@dataclass(frozen=True)
class WeightOption:
    """A layer's weights at some number of bits.

    Attributes:
        layer: name of the operator.
        bits: of each weight.
        nbytes: in flash.
        loss: noise to signal ratio of the network's outputs when nothing but these weights is quantized.
    """

    layer: str
    bits: int
    nbytes: int
    loss: float


def weight_bytes(op: ops.Conv2D | ops.Dense, bits: int) -> int:
    """Bytes of the weights in flash: every output channel's on a byte of its own."""
    return len(op.weight) * -(-int(np.prod(op.weight.shape[1:])) * bits // 8)


def measure_options(
    graph: Graph,
    quantized: Mapping[int, Graph],
    dataset: Dataset,
    layers: Sequence[str],
    *,
    limit: int = LOSS_SAMPLES,
    progress: Progress | None = None,
) -> tuple[WeightOption, ...]:
    """Runs the float network with the weights of one layer after another replaced by their quantized values.

    Args:
        graph: float.
        quantized: the graph with all weights at this number of bits, by number of bits.
        dataset: calibration data.
        layers: names of the operators.
    """
    by_bits = {bits: {op.name: op for op in candidate.ops} for bits, candidate in quantized.items()}
    chosen = {op.output: op.name for op in graph.ops if op.name in layers}
    losses: dict[tuple[str, int], float] = {}
    for tail in tails(graph, dataset.take(limit), chosen):
        layer = chosen[tail.name]
        for bits in quantized:
            op = _layer(by_bits[bits][layer])
            run = section_runner(graph, (_with_real_weights(op),), op.outputs)
            losses[layer, bits] = tail.movement(lambda sample, r=run, t=tail: r(t.before[sample])[0])  # type: ignore[misc]
            if progress is not None:
                progress(len(losses), len(chosen) * len(quantized))
    return tuple(
        WeightOption(name, bits, weight_bytes(_layer(by_bits[bits][name]), bits), losses.get((name, bits), 0.0))
        for bits in quantized
        for name in layers
    )


def _layer(op: ops.Op) -> ops.Conv2D | ops.Dense:
    if not isinstance(op, ops.Conv2D | ops.Dense):
        raise ValueError(f"{op.name} has no weights")
    return op


def _with_real_weights(op: ops.Conv2D | ops.Dense) -> ops.Op:
    """`op` in float with the values that its integers stand for."""
    if op.quantized is None:
        raise ValueError(f"{op.name} is not quantized")
    scales = op.quantized.scales.reshape(-1, *[1] * (op.weight.ndim - 1))
    weight, bias = op.quantized.codes * scales, op.quantized.bias
    return replace(op, weight=weight.astype(np.float32), bias=bias.astype(np.float32))


def choose_weight_bits(options: Sequence[WeightOption], budget: int) -> dict[str, int]:
    """Bits of each layer, such that all weights fit `budget` bytes at the least sum of losses (greedily).

    Each layer starts with its most bits. While they don't fit, the step that adds the least loss for each byte it saves
    is taken; then, with the room that is left, layers are raised again, the largest gain first. Noise of different
    layers is taken as independent, so that losses add up.

    Raises:
        QuantMCUError: not even the fewest bits fit.
    """
    of_layer: dict[str, list[WeightOption]] = {}
    for option in options:
        of_layer.setdefault(option.layer, []).append(option)
    smallest = sum(min(option.nbytes for option in ladder) for ladder in of_layer.values())
    if smallest > budget:
        raise QuantMCUError(
            f"the weights need {smallest:,} bytes even with the fewest bits, {budget:,} are there",
            why="of the flash, code and tables take their part first",
            hint="choose a board with more flash, or a smaller model",
        )
    chosen = {layer: max(ladder, key=lambda o: o.bits) for layer, ladder in of_layer.items()}
    while sum(option.nbytes for option in chosen.values()) > budget:
        steps = [(o, chosen[o.layer]) for o in options if o.nbytes < chosen[o.layer].nbytes]
        lower, _ = min(steps, key=lambda pair: (pair[0].loss - pair[1].loss) / (pair[1].nbytes - pair[0].nbytes))
        chosen[lower.layer] = lower
    while True:
        room = budget - sum(option.nbytes for option in chosen.values())
        gains = [
            (chosen[o.layer].loss - o.loss, o)
            for o in options
            if o.bits > chosen[o.layer].bits and o.nbytes - chosen[o.layer].nbytes <= room
        ]
        gain, best = max(gains, key=lambda pair: pair[0], default=(0.0, None))
        if best is None or gain <= 0:
            return {layer: option.bits for layer, option in chosen.items()}
        chosen[best.layer] = best
