"""Predicted cycles of packed multiplication: counts of work, and what each costs.

The costs were fitted on emulator measurements by `python -m benchmarks.subbyte --fit`.
"""

from __future__ import annotations

from collections.abc import Mapping

from quantmcu.codegen.assembly.outer import CHANNELS, cycles_of_input
from quantmcu.codegen.kernel import StepContext
from quantmcu.codegen.kernels.convolution import convolution_of
from quantmcu.codegen.kernels.outer_plan import OuterPlan, at_once

OUTER_COSTS: dict[str, Mapping[str, float]] = {  # within 8 % of 153 layers
    "cortex-m4": {
        "body": 1.041,
        "passes": 9.362,
        "blocks": 26.649,
        "sums": 6.451,
        "totals": 6.896,
        "filled": 2.311,
        "selected": 5.143,
        "fills": 73.921,
        "taps": 34.995,
        "copies": 58.656,
        "copied": 4.704,
        "staged": 43.776,
        "groups": 177.196,
        "layer": 386.142,
    },
    "cortex-m7": {
        "body": 1.004,
        "passes": 2.077,
        "blocks": 16.851,
        "sums": 3.083,
        "totals": 3.318,
        "filled": 1.372,
        "selected": 2.5,
        "fills": 51.15,
        "taps": 15.448,
        "copies": 28.228,
        "copied": 3.35,
        "staged": 25.491,
        "groups": 84.56,
        "layer": 576.354,
    },
}
DENSE_COSTS: dict[str, Mapping[str, float]] = {  # what dense weights add; within 16 % on Cortex-M4, 20 % on Cortex-M7
    "cortex-m4": {"expanded": 6.487, "calls": 48.276},
    "cortex-m7": {"expanded": 3.425, "calls": 30.8},
}


def work_of_dense(plan: OuterPlan, context: StepContext) -> dict[str, float]:
    """What dense weights add: words of weights `expanded`, `calls` of the block function."""
    together = at_once(plan, context, dense=True)
    groups, blocks = plan.groups(context), plan.blocks(context)
    return {
        "expanded": float(-(-groups // together.groups) * blocks * plan.block_words),
        "calls": float(groups * -(-blocks // together.blocks)),
    }


def work_of_outer(plan: OuterPlan, context: StepContext) -> dict[str, float]:
    """What the kernel does.

    `body`: cycles of the products by the core's rules; `passes` through the unrolled code; `blocks` and `sums`
    computed; `totals` added to between parts; `filled` words of the tile, from `selected` bytes of two or three
    pixels, by `fills`, one a tap and group; `taps` of pixels found one by one; `copies` of pixels that are no whole
    words, `copied` bytes of them; `staged` codes that are packed afterwards; `groups` of pixels.
    """
    step, kernel, value = convolution_of(context), plan.kernel, context.inputs[0]
    groups, taps = plan.groups(context), step.kernel[0] * step.kernel[1]
    blocks = groups * plan.blocks(context)
    sums = float(blocks * CHANNELS * kernel.pixels)
    pixel_taps = float(groups * kernel.pixels * taps)
    words = 2.0 * groups * taps * -(-value.row_bytes // 4)
    copies = pixel_taps if value.row_bytes % 4 else 0.0
    return {
        "body": blocks * plan.inputs * cycles_of_input(kernel.dual_issue, context.core.long_multiply_cycles),
        "passes": float(blocks * (plan.inputs // kernel.inputs)) if kernel.is_loop else 0.0,
        "blocks": float(blocks),
        "sums": sums,
        "totals": sums * plan.parts if plan.parts > 1 else 0.0,
        "filled": words * (32 // value.bits),
        "selected": words * 4 * (kernel.fields - 1),
        "fills": float(groups * taps),
        "taps": 0.0 if step.is_pointwise else pixel_taps,
        "copies": copies,
        "copied": copies * value.row_bytes,
        "staged": 0.0 if plan.whole_pixels else float(context.output.elements),
        "groups": float(groups),
        "layer": 1.0,
    }
