"""Predicted cycles of the matrix product kernels: counts of work, and what each costs.

The costs were fitted on emulator measurements by `python -m benchmarks.kernels --fit`.
"""

from __future__ import annotations

from collections.abc import Mapping

from quantmcu.codegen.assembly import Control, Scheme, cycles_of_group
from quantmcu.codegen.common import measured_core
from quantmcu.codegen.kernel import Core
from quantmcu.codegen.kernels.matmul_layout import Geometry
from quantmcu.codegen.kernels.matmul_plan import Plan

# What 4-bit weights add (`_correcting`): with it, 53 layers are within 17 %, those from 16 channels on within 8 %.
CORRECTION_COSTS: dict[str, Mapping[str, float]] = {
    "cortex-m4": {"added": 19.26, "corrected": 17.42, "summed": 6.411, "singly": 1.849, "taps": 12.154},
    "cortex-m7": {"added": 4.983, "corrected": 15.053, "summed": 3.361, "singly": 0.762, "taps": 3.44},
}
GENERATED_COSTS: dict[str, Mapping[str, float]] = {  # within 6 % of 57 layers
    "cortex-m4": {
        **CORRECTION_COSTS["cortex-m4"],
        "chunks": 362.7,
        "widened": 9.71,
        "shifted": 43.59,
        "columns": 6.101,
        "narrow": 7.584,
        "layer": 123.8,
        "body": 1.086,
        "parts": 3.058,
        "blocks": 41.8,
        "restored": 1.3,
        "groups": 128.4,
    },
    "cortex-m7": {
        **CORRECTION_COSTS["cortex-m7"],
        "chunks": 271.7,
        "widened": 4.788,
        "shifted": 21.99,
        "columns": 6.855,
        "narrow": 4.063,
        "layer": 169.5,
        "body": 1.007,
        "parts": 3.174,
        "blocks": 12.54,
        "sums": 1.188,
        "restored": 0.6,
        "groups": 73.04,
        "calls": 31.29,
    },
}
DSP_COSTS: dict[str, Mapping[str, float]] = {  # within 9 % on Cortex-M4, 14 % on Cortex-M7
    "cortex-m4": {
        "chunks": 258.7,
        "widened": 11.39,
        "shifted": 37.22,
        "columns": 87.31,
        "narrow": 19.08,
        "pairs": 24.32,
        "singles": 20.83,
        "blocks": 64.82,
        "runs": 15.34,
    },
    "cortex-m7": {
        "chunks": 385.9,
        "widened": 5.02,
        "shifted": 18.17,
        "columns": 57.03,
        "narrow": 13.53,
        "layer": 6.003,
        "pairs": 15.21,
        "singles": 8.909,
        "blocks": 26.42,
        "runs": 17.2,
    },
}


def predict(costs: Mapping[str, Mapping[str, float]], core: Core, work: Mapping[str, float]) -> float:
    """Cycles of this work on `core`."""
    measured, factor = measured_core(core)
    return factor * sum(cost * work.get(kind, 0) for kind, cost in costs[measured].items())


def work_of_plan(plan: Plan) -> dict[str, float]:
    """What a generated kernel does.

    `body`: cycles of the products by the core's rules; `parts`: passes through the unrolled code; `blocks` and `sums`
    computed, and `restored` ones among these; `groups` of pixels; `calls` of block functions; widening, see
    `_widening`; corrections, see `_correcting`.
    """
    geometry = plan.geometry
    work = _widening(geometry, plan.layout.phases)
    whole, left_over = divmod(geometry.output_width, plan.whole.pixels)
    chunks = work["chunks"]
    work |= dict.fromkeys(("body", "parts", "blocks", "sums", "restored", "groups", "calls"), 0.0)
    for kernel, groups, calls in (
        (plan.whole, whole * geometry.output_height, chunks if whole else 0),
        (plan.rest, geometry.output_height if left_over else 0, geometry.output_height if left_over else 0),
    ):
        blocks = groups * -(-geometry.output_channels // kernel.channels)
        inputs = geometry.run_count * plan.run_groups
        passes = inputs // kernel.groups if kernel.control is not Control.UNROLLED else kernel.pieces - 1
        overlapping = 2 if geometry.output_channels % kernel.channels else 1
        work["body"] += blocks * inputs * cycles_of_group(kernel)
        work["parts"] += blocks * passes
        work["blocks"] += blocks
        work["sums"] += blocks * kernel.channels * kernel.pixels
        work["restored"] += blocks * kernel.channels * kernel.pixels if kernel.scheme is Scheme.RESTORED else 0
        work["groups"] += groups * overlapping
        work["calls"] += calls * overlapping
    return work | _correcting(geometry, work) if plan.scheme is Scheme.NIBBLE else work


def _correcting(geometry: Geometry, work: Mapping[str, float]) -> dict[str, float]:
    """What 4-bit weights add.

    `added`: blocks that start with corrections, `corrected` columns of `summed` groups of four codes and of `singly`
    summed codes; `taps` of the receptive fields' rows and columns.
    """
    if geometry.pixelwise:
        columns, taps = geometry.output_height * geometry.output_width, 0
    else:
        columns = geometry.input_rows * geometry.ring_columns
        taps = geometry.output_height * (
            geometry.ring_columns * geometry.kernel[0] + geometry.output_width * (geometry.kernel[1] + 1)
        )
    return {
        "added": work["blocks"],
        "corrected": columns,
        "summed": columns * (geometry.input_channels // 4),
        "singly": columns * 3 if geometry.input_channels % 4 else 0,
        "taps": taps,
    }


def work_of_pairs(geometry: Geometry) -> dict[str, float]:
    """What the DSP kernel in C does.

    `pairs` and `singles`: groups of four inputs for two channels and two or one pixels; `blocks` of these; `runs`
    through the inputs; widening, see `_widening`.
    """
    work = _widening(geometry, 0)
    blocks = geometry.output_height * -(-geometry.output_channels // 2)
    inputs = geometry.run_count * geometry.run_groups
    pairs, singles = divmod(geometry.output_width, 2)
    return work | {
        "pairs": blocks * pairs * inputs,
        "singles": blocks * singles * inputs,
        "blocks": blocks * (pairs + singles),
        "runs": blocks * (pairs + singles) * geometry.run_count,
    }


def _widening(geometry: Geometry, phases: int) -> dict[str, float]:
    """`widened`: groups of four codes widened by words, `shifted`: those at odd addresses.

    `columns` are widened singly, `narrow` ones, of three channels, four at a time. `chunks`: how often the tile is
    filled.
    """
    work = dict.fromkeys(("chunks", "widened", "shifted", "columns", "narrow"), 0.0) | {"layer": 1.0}
    aligned = geometry.input_channels % 4 == 0
    if geometry.pixelwise:
        pixels = geometry.output_height * geometry.output_width
        work["chunks"] = geometry.output_height * -(-geometry.output_width // geometry.tile_pixels(1))
        work["widened" if aligned else "shifted"] = pixels * geometry.column_words / 2
        work["columns"] = 0 if aligned else pixels
        return work
    rows = geometry.input_rows
    work["chunks"] = geometry.output_height
    if phases:
        work["shifted"] = rows * phases * geometry.ring_columns * geometry.input_channels / 4
    elif aligned:
        work["widened"] = rows * geometry.ring_columns * geometry.column_words / 2
    else:
        by_words = geometry.input_channels == 3 and geometry.input_width % 4 == 0
        work["narrow" if by_words else "columns"] = rows * geometry.ring_columns
        work["shifted"] = 0 if geometry.input_channels < 4 else rows * geometry.ring_columns * geometry.column_words / 2
    return work
