"""Predicted cycles of the matrix product kernels: counts of work, and what each costs.

The costs were fitted on emulator measurements by `python -m benchmarks.kernels --fit`.
"""

from __future__ import annotations

from collections.abc import Mapping

from quantmcu.codegen.assembly import Control, cycles_of_group
from quantmcu.codegen.common import cycles_on
from quantmcu.codegen.kernel import Core
from quantmcu.codegen.kernels.matmul_layout import Geometry
from quantmcu.codegen.kernels.matmul_plan import Plan

GENERATED_COSTS: dict[str, Mapping[str, float]] = {  # within 6 % of 57 layers
    "cortex-m4": {
        "layer": 80,
        "chunks": 401,
        "widened": 9.7,
        "shifted": 41.6,
        "columns": 21.9,
        "body": 1.083,
        "parts": 3.9,
        "blocks": 26.8,
        "sums": 1.89,
        "groups": 114,
        "calls": 12.9,
    },
    "cortex-m7": {
        "layer": 148,
        "chunks": 323,
        "widened": 4.7,
        "shifted": 21.3,
        "columns": 14.6,
        "body": 1.008,
        "parts": 3.3,
        "blocks": 10.9,
        "sums": 1.4,
        "groups": 65.8,
        "calls": 3.7,
    },
}
DSP_COSTS: dict[str, Mapping[str, float]] = {  # within 9 % on Cortex-M4, 14 % on Cortex-M7
    "cortex-m4": {
        "chunks": 240,
        "widened": 11.5,
        "shifted": 53.5,
        "columns": 33.2,
        "pairs": 24.27,
        "singles": 20.8,
        "blocks": 63.0,
        "runs": 17.3,
    },
    "cortex-m7": {
        "chunks": 377,
        "widened": 5.1,
        "shifted": 28.7,
        "columns": 22.3,
        "pairs": 15.18,
        "singles": 8.9,
        "blocks": 25.1,
        "runs": 18.5,
    },
}


def predict(costs: Mapping[str, Mapping[str, float]], core: Core, work: Mapping[str, float]) -> float:
    """Cycles of this work on `core`."""
    of_core = {name: sum(cost[kind] * work.get(kind, 0) for kind in cost) for name, cost in costs.items()}
    return cycles_on(core, m4=of_core["cortex-m4"], m7=of_core["cortex-m7"])


def work_of_plan(plan: Plan) -> dict[str, float]:
    """What a generated kernel does.

    `body`: cycles of the products by the core's rules; `parts`: passes through the unrolled code; `blocks` and `sums`
    computed; `groups` of pixels; `calls` of block functions; widening, see `_widening`.
    """
    geometry = plan.geometry
    work = _widening(geometry, plan.layout.phases)
    whole, left_over = divmod(geometry.output_width, plan.whole.pixels)
    chunks = work["chunks"]
    work |= dict.fromkeys(("body", "parts", "blocks", "sums", "groups", "calls"), 0.0)
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
        work["groups"] += groups * overlapping
        work["calls"] += calls * overlapping
    return work


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
    """`widened`: groups of four codes widened by words, `shifted`: those at odd addresses; `columns` widened singly."""
    work = {"layer": 1.0, "chunks": 0.0, "widened": 0.0, "shifted": 0.0, "columns": 0.0}
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
        work["columns"] = rows * geometry.ring_columns
        work["shifted"] = 0 if geometry.input_channels < 4 else rows * geometry.ring_columns * geometry.column_words / 2
    return work
