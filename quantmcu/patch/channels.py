"""Splits a wide convolution before a global pooling by channels, so that its map never exists whole.

The last convolution of many networks widens to a thousand channels which are then averaged over all pixels: its map
can be the largest that is left once the first layers run in patches. Each output channel of a pointwise convolution,
and its average, depends on no other output channel, so both steps run part by part; the results are joined.
"""

from __future__ import annotations

from dataclasses import replace

from quantmcu.program import steps
from quantmcu.program.fixed_point import Requantize
from quantmcu.program.program import Program, Value


def split_channels(program: Program, parts: int) -> Program:
    """`program` with its last wide convolution and the pooling behind it in `parts` parts; the same results.

    Unchanged when `parts` is 1.

    Raises:
        ValueError: there is no such convolution, or its channels can't be divided.
    """
    if parts == 1:
        return program
    pair = _find(program)
    if pair is None:
        raise ValueError("no convolution before a global pooling")
    convolution, pool = pair
    wide, pooled = program.output_value(convolution), program.output_value(pool)
    channels = wide.shape[3]
    if channels % parts:
        raise ValueError(f"{channels} channels can't be divided by {parts}")
    size = channels // parts
    values = dict(program.values)
    del values[wide.name]
    replacement: list[steps.Step] = []
    for index in range(parts):
        part_wide = Value(f"{wide.name}/{index}", (*wide.shape[:3], size), wide.bits, wide.qparams)
        part_pooled = Value(f"{pooled.name}/{index}", (*pooled.shape[:3], size), pooled.bits, pooled.qparams)
        values |= {part_wide.name: part_wide, part_pooled.name: part_pooled}
        channel = slice(index * size, (index + 1) * size)
        replacement.append(
            replace(
                convolution,
                name=f"{convolution.name}/{index}",
                output=part_wide.name,
                weight=convolution.weight[channel],
                bias=convolution.bias[channel],
                requantize=_part(convolution.requantize, channels, channel),
            )
        )
        replacement.append(
            replace(pool, name=f"{pool.name}/{index}", inputs=(part_wide.name,), output=part_pooled.name)
        )
    replacement.append(
        steps.Concatenate(
            name=f"{pool.name}/join",
            layer=pool.layer,
            inputs=tuple(f"{pooled.name}/{index}" for index in range(parts)),
            output=pooled.name,
            axis=3,
            forms=(None,) * parts,
        )
    )
    changed: list[steps.Step] = []
    for step in program.steps:
        if step is pool:
            changed += replacement
        elif step is not convolution:
            changed.append(step)
    return replace(program, steps=tuple(changed), values=values)


def widest_channels(program: Program) -> int:
    """Channels that `split_channels` would divide; 0 where there is no such convolution."""
    pair = _find(program)
    return 0 if pair is None else program.output_value(pair[0]).shape[3]


def _find(program: Program) -> tuple[steps.Convolution, steps.AveragePool] | None:
    for convolution, pool in zip(program.steps[:-1], program.steps[1:], strict=True):
        if not (isinstance(convolution, steps.Convolution) and isinstance(pool, steps.AveragePool)):
            continue
        wide = program.output_value(convolution)
        readers = [step for step in program.steps if wide.name in step.inputs]
        if (
            convolution.groups == 1
            and readers == [pool]
            and wide.name not in program.outputs
            and pool.kernel == wide.shape[1:3]
            and not any(pool.pads)
        ):
            return convolution, pool
    return None


def _part(requantize: Requantize, channels: int, channel: slice) -> Requantize:
    """The parameters of some channels."""
    if len(requantize.multiplier) != channels:
        return requantize
    return requantize.with_multiplier(requantize.multiplier[channel])
