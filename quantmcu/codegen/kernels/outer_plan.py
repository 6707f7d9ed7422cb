"""How packed multiplication divides a convolution: pixels in a word, parts of the inputs, unrolled code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from quantmcu.codegen.assembly.outer import CHANNELS, CODE_OF_INPUT, OuterKernel, field_bits
from quantmcu.codegen.kernel import StepContext
from quantmcu.codegen.kernels.convolution import convolution_of
from quantmcu.codegen.kernels.matmul_layout import accumulator_reach
from quantmcu.codegen.packed import pixels_of
from quantmcu.program.steps import Convolution, Step

_WIDE_SCRATCH = 1024  # bytes of tiles, where weights are not expanded
_MOST_BLOCKS_AT_ONCE = 4
_WORDS_OF_A_CALL = 12  # that are expanded in the time of a call of the block function

# Bytes of unrolled code, run once and in a loop (see `matmul_plan`); the cost of a pass, in inputs.
_SINGLE_ISSUE_LIMITS = (1150, 900, 0.9)
_DUAL_ISSUE_LIMITS = (4100, 2700, 1.5)
_UNROLLED_IN_PARTS = (8, 12, 16, 20, 24, 32, 48, 64, 80)  # inputs; parts of each block of channels are whole passes

Parts = tuple[tuple[int, ...], ...]  # by block of channels, the inputs of each part
_PLANS: WeakKeyDictionary[Step, dict[tuple[object, ...], list[OuterPlan] | str]] = WeakKeyDictionary()


@dataclass(frozen=True)
class OuterPlan:
    """The division.

    Attributes:
        kernel: the block function.
        inputs: in the tile; those that the map does not have meet weights of 0.
        parts: by block of channels, the inputs of each part.
        whole_pixels: the block function stores pixels as they are in the map.
    """

    kernel: OuterKernel
    inputs: int
    parts: Parts
    whole_pixels: bool

    @property
    def all_parts(self) -> int:
        """Parts of all blocks."""
        return sum(map(len, self.parts))

    @property
    def tile_bytes(self) -> int:
        """Bytes of the tile of a group of pixels."""
        return 8 * self.inputs

    @property
    def block_words(self) -> int:
        """Words of the weights of the largest block of channels, and of its constants."""
        return max(map(len, self.parts)) * (1 + CHANNELS) + 2 * self.inputs + 2 * CHANNELS

    @property
    def weight_words(self) -> int:
        """Words of the weights of all blocks, and of their constants."""
        return self.constant_words + len(self.parts) * 2 * self.inputs

    @property
    def dense_weight_words(self) -> int:
        """The same where a word has as many weights as fit: parts of the inputs fill whole words."""
        return self.constant_words + len(self.parts) * CHANNELS * self.inputs * self.kernel.weight_bits // 32

    @property
    def constant_words(self) -> int:
        """Words of all blocks that are no weights."""
        return self.all_parts * (1 + CHANNELS) + len(self.parts) * 2 * CHANNELS

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


def outer_plans(context: StepContext, fields: int) -> list[OuterPlan] | str:
    """The divisions with words of `fields` pixels: one without parts, else several; or why there is none.

    Sums of eight inputs fit every field: any number of inputs can be divided. Remembered for the step: however large
    the map is, the divisions are the same.
    """
    known = _PLANS.setdefault(context.step, {})
    key = (context.inputs[0].bits, context.output.bits, context.core, fields)
    if key not in known:
        known[key] = _outer_plans(context, fields)
    return known[key]


def _outer_plans(context: StepContext, fields: int) -> list[OuterPlan] | str:
    step = convolution_of(context)
    problem = _unsupported(context, step)
    if problem is not None:
        return problem
    q = step.requantize
    whole = len(step.weight) % CHANNELS == 0 and (q.low, q.high) == (0, context.output.highest_code)
    dual_issue = context.core.name == "cortex-m7"
    plans: list[OuterPlan] = []
    for unrolled, passes in _unrolled(tile_inputs(context), dual_issue):
        for parts in dict.fromkeys(_parts(context, fields, unrolled)):
            kernel = OuterKernel(
                dual_issue=dual_issue,
                weight_bits=step.weight_bits,
                fields=fields,
                output_bits=context.output.bits if whole else 8,
                shift=q.shift,
                inputs=unrolled,
                is_loop=any(size > unrolled for sizes in parts for size in sizes),
                in_parts=any(len(sizes) > 1 for sizes in parts),
            )
            plans.append(OuterPlan(kernel, unrolled * passes, parts, whole))
            if not kernel.in_parts:
                return plans[-1:]
    return plans


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


def _unrolled(inputs: int, dual_issue: bool) -> Iterator[tuple[int, int]]:
    """How many inputs may be unrolled, and how often that code runs: first what is best without parts."""
    inputs = -(-inputs // 4) * 4
    once, loop, pass_cost = _DUAL_ISSUE_LIMITS if dual_issue else _SINGLE_ISSUE_LIMITS
    if inputs * CODE_OF_INPUT <= once:
        yield inputs, 1
    else:
        counts = range(4, loop // CODE_OF_INPUT + 1, 4)
        unrolled = min(counts, key=lambda n: (-(-inputs // n) * (n + pass_cost), n))
        yield unrolled, -(-inputs // unrolled)
    for unrolled in _UNROLLED_IN_PARTS:
        if unrolled * CODE_OF_INPUT <= loop and unrolled < inputs:
            yield unrolled, -(-inputs // unrolled)


def tile_inputs(context: StepContext) -> int:
    """Inputs of the tile: channels of a tap fill whole words of the map."""
    step, in_word = convolution_of(context), 32 // context.inputs[0].bits
    return int(step.kernel[0] * step.kernel[1] * -(-step.weight.shape[3] // in_word) * in_word)


def tile_rows(context: StepContext, inputs: int) -> NDArray[np.int64]:
    """Weights in the order of the tile, filled up with zeros: [blocks of channels, CHANNELS, inputs]."""
    step, in_word = convolution_of(context), 32 // context.inputs[0].bits
    missing = -len(step.weight) % CHANNELS, -step.weight.shape[3] % in_word
    padded = np.pad(step.weight, ((0, missing[0]), (0, 0), (0, 0), (0, missing[1])))
    rows = padded.reshape(len(padded), -1).astype(np.int64)
    return np.pad(rows, ((0, 0), (0, inputs - rows.shape[1]))).reshape(-1, CHANNELS, inputs)


def _parts(context: StepContext, fields: int, unrolled: int) -> tuple[Parts, ...]:
    """Divisions by block of channels in which no sum passes its field, whole passes of `unrolled` inputs.

    Of the fewest parts, and of a single pass each, which needs no inner loop; none where the sums of a pass are too
    large.
    """
    passes = -(-tile_inputs(context) // unrolled)
    rows = np.abs(tile_rows(context, passes * unrolled))
    sums = rows.reshape(*rows.shape[:2], passes, unrolled).sum(axis=3) * context.inputs[0].highest_code
    room = 2 ** field_bits(convolution_of(context).weight_bits, fields)
    if int(sums.max(initial=0)) >= room:
        return ()
    fewest = tuple(tuple(unrolled * n for n in counts) for counts in _longest(sums, room))
    return fewest, ((unrolled,) * passes,) * len(sums)


def _longest(sums: NDArray[np.int64], room: int) -> list[list[int]]:
    """Passes in each part, by block, of sums [blocks, channels, passes]: as many as stay below `room`, in order."""
    starts = np.zeros((len(sums), sums.shape[2]), bool)
    starts[:, 0] = True
    total = sums[:, :, 0]
    for index in range(1, sums.shape[2]):
        one = sums[:, :, index]
        total = total + one
        starts[:, index] = total.max(axis=1) >= room
        total = np.where(starts[:, index, None], one, total)
    return [np.diff(np.flatnonzero(block), append=len(block)).tolist() for block in starts]


@dataclass(frozen=True)
class AtOnce:
    """Groups of pixels whose tiles are in scratch memory together, and blocks of channels that meet all of them."""

    groups: int
    blocks: int


def at_once(plan: OuterPlan, context: StepContext, dense_scratch: int | None) -> AtOnce:
    """A few groups, all blocks; of dense weights, a few blocks are expanded for as many groups as there is room for.

    Args:
        plan: the division.
        context: the step.
        dense_scratch: bytes for tiles and expanded weights, if two groups and a block fit; None: weights are wide.
    """
    if dense_scratch is None:
        groups = min(max(_WIDE_SCRATCH // plan.tile_bytes, 1), plan.groups(context))
        return AtOnce(groups, plan.blocks(context))
    groups, blocks = plan.groups(context), plan.blocks(context)
    room = max(dense_scratch // (4 * plan.block_words), 3)  # blocks, each about the size of a tile

    def groups_beside(count: int) -> int:
        """Equal shares of all groups, so many that there is room beside `count` blocks."""
        chunks = -(-groups // (room - count))
        return -(-groups // chunks)

    def cost(count: int) -> int:
        """In words to expand: all of them for each chunk of groups; calls of the block function."""
        chunks = -(-groups // groups_beside(count))
        return chunks * plan.weight_words + _WORDS_OF_A_CALL * groups * -(-blocks // count)

    best = min(range(1, min(_MOST_BLOCKS_AT_ONCE, blocks, room - 1) + 1), key=cost)
    return AtOnce(groups_beside(best), best)
