"""What a step costs at the least: how far a kernel is from what the core could do.

A bound, not a goal: it counts multiplications as if nothing else were needed, and moves every byte once.
"""

from __future__ import annotations

from quantmcu.codegen.kernel import StepContext
from quantmcu.codegen.select import Selection
from quantmcu.program.macs import step_macs
from quantmcu.program.steps import Convolution

# Multiply-accumulates of one multiplication, by the widest operand in bits (of input and weight), with DSP extension:
# SMLAD of 16-bit pairs; packed operands of UMLAL, three taps by three pixels of 4 bits, or four by four of 2 bits.
_MACS_PER_MULTIPLY = {8: 2, 4: 9, 2: 16}
# SMLAL with narrower weights than codes, two of them by two codes of 8 bits.
_MACS_PER_MULTIPLY_NARROW_WEIGHTS = 4
# MULS and ADDS, or MLA in two cycles (Cortex-M0+ and M3 TRM, instruction timing).
_CYCLES_PER_MAC_WITHOUT_DSP = 2.0
# Loads and stores of a word: one a cycle; two loads of different banks on Cortex-M7.
_WORDS_PER_CYCLE = {"cortex-m7": 2}


def theoretical_cycles(context: StepContext) -> float:
    """Cycles that no kernel of the step goes below on the core of `context`, memory without wait states.

    The larger of what the multiplications and what the transfer of all inputs, weights and outputs take.
    """
    return max(_multiplication_cycles(context), _transfer_cycles(context))


def selection_bound(selection: Selection) -> float:
    """`theoretical_cycles` over all contexts of a selection."""
    return sum(theoretical_cycles(context) * count for context, count in selection.geometries)


def _multiplication_cycles(context: StepContext) -> float:
    step = context.step
    if not isinstance(step, Convolution):
        return 0.0
    macs = step_macs(step, context.output)
    if not context.core.has_dsp:
        return macs * _CYCLES_PER_MAC_WITHOUT_DSP
    inputs = context.inputs[0].bits
    if step.weight_bits < inputs == 8:
        return macs / _MACS_PER_MULTIPLY_NARROW_WEIGHTS
    widest = max(inputs, step.weight_bits)
    return macs / next(count for bits, count in sorted(_MACS_PER_MULTIPLY.items()) if widest <= bits)


def _transfer_cycles(context: StepContext) -> float:
    step = context.step
    read: float = sum(value.nbytes for value in context.inputs)
    if isinstance(step, Convolution):
        read += step.weight.size * step.weight_bits / 8
    return (read / _WORDS_PER_CYCLE.get(context.core.name, 1) + context.output.nbytes) / 4
