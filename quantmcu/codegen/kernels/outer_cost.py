"""Predicted cycles of packed multiplication: counts of work, and what each costs.

The costs were fitted on emulator measurements by `python -m benchmarks.subbyte --fit`.
"""

from __future__ import annotations

from collections.abc import Mapping

from quantmcu.codegen.assembly.outer import CHANNELS, cycles_of_input
from quantmcu.codegen.kernel import StepContext
from quantmcu.codegen.kernels.convolution import convolution_of
from quantmcu.codegen.kernels.outer_plan import OuterPlan, at_once

OUTER_COSTS: dict[str, Mapping[str, float]] = {  # within 15 % of 204 layers
    "cortex-m4": {
        "body": 1.036,
        "passes": 9.697,
        "blocks": 26.574,
        "sums": 6.468,
        "totals": 5.634,
        "rounds": 0.0,
        "filled": 2.486,
        "selected": 5.173,
        "fills": 70.749,
        "taps": 34.267,
        "copies": 71.288,
        "copied": 4.644,
        "staged": 46.463,
        "groups": 172.18,
        "layer": 308.743,
    },
    "cortex-m7": {
        "body": 0.996,
        "passes": 5.082,
        "blocks": 15.592,
        "sums": 3.167,
        "totals": 2.637,
        "rounds": 1.09,
        "filled": 1.451,
        "selected": 2.504,
        "fills": 52.619,
        "taps": 14.267,
        "copies": 36.042,
        "copied": 3.188,
        "staged": 25.931,
        "groups": 84.726,
        "layer": 536.314,
    },
}
DENSE_COSTS: dict[str, Mapping[str, float]] = {  # what dense weights add; all within 6 % of 93 layers of MobileNetV2
    "cortex-m4": {"expanded": 4.411, "calls": 51.337},
    "cortex-m7": {"expanded": 2.356, "calls": 29.881},
}


def work_of_dense(plan: OuterPlan, context: StepContext, scratch: int) -> dict[str, float]:
    """What dense weights add: words of weights `expanded`, `calls` of the block function; `scratch`: see `at_once`."""
    together = at_once(plan, context, scratch)
    groups, blocks = plan.groups(context), plan.blocks(context)
    return {
        "expanded": float(-(-groups // together.groups) * plan.weight_words),
        "calls": float(groups * -(-blocks // together.blocks)),
    }


def work_of_outer(plan: OuterPlan, context: StepContext) -> dict[str, float]:
    """What the kernel does.

    `body`: cycles of the products by the core's rules; `passes` through the unrolled code; `blocks` and `sums`
    computed; `totals` added to between parts, `rounds` of these after loops; `filled` words of the tile, from
    `selected` bytes of two or three pixels, by `fills`, one a tap and group; `taps` of pixels found one by one;
    `copies` of pixels that are no whole words, `copied` bytes of them; `staged` codes that are packed afterwards;
    `groups` of pixels.
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
        "totals": float(groups * CHANNELS * kernel.pixels * plan.all_parts) if kernel.in_parts else 0.0,
        "rounds": float(groups * plan.all_parts) if kernel.in_parts and kernel.is_loop else 0.0,
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
