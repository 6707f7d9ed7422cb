"""Predicted cycles of packed multiplication: counts of work, and what each costs.

The costs were fitted on emulator measurements by `python -m benchmarks.subbyte --fit`.
"""

from __future__ import annotations

from collections.abc import Mapping

from quantmcu.codegen.assembly.outer import CHANNELS, cycles_of_input
from quantmcu.codegen.kernel import StepContext
from quantmcu.codegen.kernels.convolution import convolution_of
from quantmcu.codegen.kernels.outer_plan import OuterPlan

OUTER_COSTS: dict[str, Mapping[str, float]] = {  # within 8 % of 153 layers
    "cortex-m4": {
        "body": 1.049,
        "passes": 7.824,
        "blocks": 25.592,
        "sums": 6.415,
        "totals": 7.145,
        "filled": 2.192,
        "selected": 5.071,
        "fills": 79.532,
        "taps": 35.045,
        "copies": 58.909,
        "copied": 4.502,
        "staged": 43.323,
        "groups": 163.901,
        "layer": 255.063,
    },
    "cortex-m7": {
        "body": 0.998,
        "passes": 3.734,
        "blocks": 16.923,
        "sums": 3.1,
        "totals": 3.37,
        "filled": 1.324,
        "selected": 2.447,
        "fills": 55.948,
        "taps": 15.447,
        "copies": 28.379,
        "copied": 3.269,
        "staged": 25.877,
        "groups": 78.134,
        "layer": 427.445,
    },
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
