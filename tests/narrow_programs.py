"""Programs of 8-bit maps, requantized such that some maps have fewer bits: other integers, same weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from quantmcu.ir import QParams
from quantmcu.program import Program, linear_form, requantize_for, steps
from quantmcu.program.fixed_point import LinearForm, Requantize

_SAME_BITS = (steps.MaxPool, steps.Pad, steps.Slice)
_ANY_BITS = (steps.Convolution, steps.AveragePool, steps.Linear, steps.Concatenate, steps.Lookup)


def narrowed(program: Program, bits: Mapping[str, int]) -> Program:
    """`program` with these bits of maps; others keep 8.

    Every scale grows as the range of codes shrinks. Inputs and outputs of the program keep 8 bits, and so do what
    shares its codes with them and the maps of steps of other kinds than the ones here.
    """
    ends = dict.fromkeys((*program.inputs, *program.outputs), 8)
    others = [step for step in program.steps if not isinstance(step, (*_SAME_BITS, *_ANY_BITS))]
    kept = dict.fromkeys((name for step in others for name in (*step.inputs, step.output)), 8)
    chosen = {name: bits.get(name, 8) for name in program.values} | ends | kept
    for _ in program.steps:
        for step in program.steps:
            if isinstance(step, _SAME_BITS):
                chosen[step.inputs[0]] = chosen[step.output] = max(chosen[step.inputs[0]], chosen[step.output])
    values = {
        name: replace(value, bits=chosen[name], qparams=QParams(chosen[name], 0.1 * 2 ** (8 - chosen[name]), 0))
        for name, value in program.values.items()
    }
    made = tuple(_narrow(step, [chosen[name] for name in step.inputs], chosen[step.output]) for step in program.steps)
    unchanged = {name: program.values[name] for name in ends}
    return replace(program, steps=made, values=values | unchanged)


def _narrow(step: steps.Step, inputs: list[int], output: int) -> steps.Step:
    drop = 8 - output
    match step:
        case steps.Convolution():
            less = 8 - inputs[0]
            return replace(
                step,
                bias=step.bias >> less,
                input_zero_point=step.input_zero_point >> less,
                requantize=_requantize(step.requantize, less, drop),
            )
        case steps.AveragePool():
            less = 8 - inputs[0]
            return replace(
                step,
                input_zero_point=step.input_zero_point >> less,
                requantize=_requantize(step.requantize, less, drop),
            )
        case steps.Linear():
            pairs = zip(step.form.multipliers, inputs, strict=True)
            ratios = [m * 2.0 ** (8 - bits - drop - step.form.shift) for m, bits in pairs]
            highest = [2**bits - 1 for bits in inputs]
            form = linear_form(ratios, [120 >> (8 - bits) for bits in inputs], highest, 118 >> drop, 0, 255 >> drop)
            return replace(step, form=form)
        case steps.Concatenate():
            return replace(step, forms=tuple(_rescaled(bits, output) for bits in inputs))
        case steps.Lookup():
            return replace(step, table=step.table[:: 2 ** (8 - inputs[0])] >> np.uint8(drop))
        case steps.Pad():
            return replace(step, value=step.value >> drop)
        case _:
            return step


def _requantize(known: Requantize, less: int, drop: int) -> Requantize:
    ratios = known.multiplier * 2.0 ** (known.shift - 32 + less - drop)
    return requantize_for(ratios, known.zero_point >> drop, known.low >> drop, known.high >> drop)


def _rescaled(bits: int, output: int) -> LinearForm | None:
    if bits == output:
        return None
    return linear_form([2.0 ** (output - bits)], [0], [2**bits - 1], 0, 0, 2**output - 1)
