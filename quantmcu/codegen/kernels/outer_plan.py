"""How packed multiplication divides a convolution: pixels in a word, parts of the inputs, unrolled code."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantmcu.codegen.assembly.outer import CHANNELS, CODE_OF_INPUT, OuterKernel, field_bits
from quantmcu.codegen.kernel import StepContext
from quantmcu.codegen.kernels.convolution import convolution_of
from quantmcu.codegen.kernels.matmul_layout import accumulator_reach
from quantmcu.codegen.packed import pixels_of
from quantmcu.program.steps import Convolution

MOST_PARTS = 16
_WIDE_SCRATCH = 1024  # bytes of tiles, where weights are not expanded
_DENSE_SCRATCH = 8192  # bytes of tiles and expanded weights, if two groups of pixels and a block fit
_MOST_BLOCKS_AT_ONCE = 4

# Bytes of unrolled code, run once and in a loop (see `matmul_plan`); the cost of a pass, in inputs.
_SINGLE_ISSUE_LIMITS = (1150, 900, 0.9)
_DUAL_ISSUE_LIMITS = (4100, 2700, 1.5)


@dataclass(frozen=True)
class OuterPlan:
    """The division.

    Attributes:
        kernel: the block function.
        parts: of the inputs, each of `part_inputs`.
        whole_pixels: the block function stores pixels as they are in the map.
    """

    kernel: OuterKernel
    parts: int
    part_inputs: int
    whole_pixels: bool

    @property
    def inputs(self) -> int:
        """Inputs in the tile."""
        return self.parts * self.part_inputs

    @property
    def tile_bytes(self) -> int:
        """Bytes of the tile of a group of pixels."""
        return 8 * self.inputs

    @property
    def block_words(self) -> int:
        """Words of the weights of a block of channels, and of its constants."""
        return self.parts * (CHANNELS + 2 * self.part_inputs) + 2 * CHANNELS

    def blocks(self, context: StepContext) -> int:
        """Blocks of channels."""
        return -(-context.output.shape[-1] // CHANNELS)

    def groups(self, context: StepContext) -> int:
        """Groups of pixels."""
        return -(-pixels_of(context.output) // self.kernel.pixels)


def fields_to_try(context: StepContext) -> tuple[int, ...]:
    """Pixels in a word: three where codes and weights are so narrow that sums of some length fit."""
    weight_bits = convolution_of(context).weight_bits
    return (2, 3) if min(weight_bits, context.inputs[0].bits) == 2 and context.inputs[0].bits < 8 else (2,)


def plan_outer(context: StepContext, fields: int) -> OuterPlan | str:
    """The division with words of `fields` pixels, or why there is none."""
    step = convolution_of(context)
    problem = _unsupported(context, step)
    if problem is not None:
        return problem
    rows = tile_rows(context)
    q = step.requantize
    whole = len(rows) % CHANNELS == 0 and (q.low, q.high) == (0, context.output.highest_code)
    room = 2 ** field_bits(step.weight_bits, fields)
    dual_issue = context.core.name == "cortex-m7"
    for parts in range(1, MOST_PARTS + 1):
        unrolled, passes = _unrolled(-(-rows.shape[1] // parts), dual_issue)
        if largest_sum(rows, parts, unrolled * passes) * context.inputs[0].highest_code >= room:
            continue
        kernel = OuterKernel(
            dual_issue=dual_issue,
            weight_bits=step.weight_bits,
            fields=fields,
            output_bits=context.output.bits if whole else 8,
            shift=q.shift,
            inputs=unrolled,
            is_loop=passes > 1 or parts > 1,
            in_parts=parts > 1,
        )
        return OuterPlan(kernel, parts, unrolled * passes, whole)
    return f"sums of products beyond {field_bits(step.weight_bits, fields)} bits, even in {MOST_PARTS} parts"


def _unsupported(context: StepContext, step: Convolution) -> str | None:
    if not context.core.has_dsp:
        return "cores with DSP instructions only"
    if step.groups != 1:
        return "convolutions without groups only"
    if step.weight_bits not in (4, 2):
        return "weights of 4 or 2 bits only"
    if max(context.inputs[0].bits, context.output.bits) > 8:
        return "maps of 8, 4 or 2 bits only"
    limit = 2 ** (step.weight_bits - 1) - 1
    if int(step.weight.min(initial=0)) < -limit:
        return f"weights from -{limit} only"
    if step.requantize.saturates(accumulator_reach(step, context.inputs[0].highest_code)):
        return "accumulators that can't reach the saturation only"
    return None


def _unrolled(inputs: int, dual_issue: bool) -> tuple[int, int]:
    """How many inputs are unrolled, a multiple of four, and how often that code runs."""
    inputs = -(-inputs // 4) * 4
    once, loop, pass_cost = _DUAL_ISSUE_LIMITS if dual_issue else _SINGLE_ISSUE_LIMITS
    if inputs * CODE_OF_INPUT <= once:
        return inputs, 1
    counts = range(4, loop // CODE_OF_INPUT + 1, 4)
    unrolled = min(counts, key=lambda n: (-(-inputs // n) * (n + pass_cost), n))
    return unrolled, -(-inputs // unrolled)


def tile_rows(context: StepContext) -> NDArray[np.int64]:
    """Weights [output channels, inputs] in the order of the tile: channels of a tap fill whole words of the map."""
    step, bits = convolution_of(context), context.inputs[0].bits
    missing = -step.weight.shape[3] % (32 // bits)
    padded = np.pad(step.weight, ((0, 0), (0, 0), (0, 0), (0, missing)))
    return padded.reshape(len(step.weight), -1).astype(np.int64)


def divided(rows: NDArray[np.int64], parts: int, part_inputs: int) -> NDArray[np.int64]:
    """Rows as [output channels, parts, inputs of a part], filled up with zeros."""
    padded = np.pad(rows, ((0, 0), (0, parts * part_inputs - rows.shape[1])))
    return padded.reshape(len(rows), parts, part_inputs)


def largest_sum(rows: NDArray[np.int64], parts: int, part_inputs: int) -> int:
    """The greatest sum of |weight| of a part."""
    return int(np.abs(divided(rows, parts, part_inputs)).sum(axis=2).max(initial=0))


@dataclass(frozen=True)
class AtOnce:
    """Groups of pixels whose tiles are in scratch memory together, and blocks of channels that meet all of them."""

    groups: int
    blocks: int


def at_once(plan: OuterPlan, context: StepContext, dense: bool) -> AtOnce:
    """A few groups, all blocks; of dense weights, a few blocks are expanded for as many groups as there is room for."""
    if not dense:
        groups = min(max(_WIDE_SCRATCH // plan.tile_bytes, 1), plan.groups(context))
        return AtOnce(groups, plan.blocks(context))
    room = _DENSE_SCRATCH // (4 * plan.block_words)  # about the size of a tile, too
    blocks = min(max(room // 3, 1), _MOST_BLOCKS_AT_ONCE, plan.blocks(context))
    chunks = -(-plan.groups(context) // max(room - blocks, 2))
    return AtOnce(-(-plan.groups(context) // chunks), blocks)
