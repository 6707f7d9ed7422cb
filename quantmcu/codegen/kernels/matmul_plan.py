"""How a generated kernel divides a convolution: blocks of channels and pixels, pieces of the inputs, scheme."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quantmcu.codegen.assembly import BlockKernel, Control, Scheme
from quantmcu.codegen.kernel import StepContext
from quantmcu.codegen.kernels.matmul_layout import MAX_PIECES, Geometry, TileLayout, accumulator_reach, convolution_of
from quantmcu.program.steps import Convolution

_HALF_FACTOR = 256
_NIBBLE_SHIFT = 4
NIBBLE_FACTOR = 1 << _NIBBLE_SHIFT
_MOST_UNROLLED_PIECES = 12


@dataclass(frozen=True)
class CodeLimits:
    """Bytes of unrolled code, by the way it goes through the inputs."""

    unrolled: int
    loop: int
    linear: int


# Loops on Cortex-M4 shall fit 1 KiB, the flash accelerator's instruction cache on STM32F4 and L4. Cortex-M7 has 4 KiB
# of cache or more; parts of at most 24 groups of four inputs are shared by many shapes.
_SINGLE_ISSUE_LIMITS = CodeLimits(unrolled=1150, loop=900, linear=900)
_DUAL_ISSUE_LIMITS = CodeLimits(unrolled=4100, loop=5400, linear=2700)
_PART_COST = 0.4  # of a part's overhead, in groups


@dataclass(frozen=True)
class Plan:
    """The division, and the block functions for it.

    Attributes:
        run_groups: groups of four inputs of a run, with the padding that fills the last part of it.
        whole, rest: block functions for all groups of pixels but the last, and for the last when it is smaller.
    """

    geometry: Geometry
    scheme: Scheme
    layout: TileLayout
    run_groups: int
    whole: BlockKernel
    rest: BlockKernel

    @property
    def tile_bytes(self) -> int:
        """Bytes of the tile; the last piece may reach beyond the last column."""
        geometry, layout = self.geometry, self.layout
        if geometry.pixelwise:
            return 8 * self.run_groups * layout.tile_pixels
        beyond = 0 if layout.phases else 2 * (self.run_groups - geometry.run_groups)
        return 4 * (geometry.ring_rows * max(layout.phases, 1) * layout.row_words + beyond)

    @property
    def correction_bytes(self) -> int:
        """Bytes behind the tile where weights have 4 bits: words for pixels, columns of the ring, and their sums."""
        if self.scheme is not Scheme.NIBBLE:
            return 0
        if self.geometry.pixelwise:
            return 4 * self.layout.tile_pixels
        return 4 * (self.geometry.output_width + (self.geometry.ring_rows + 1) * self.geometry.ring_columns)


def blocks_to_try(context: StepContext) -> list[tuple[int, int]]:
    """Channels and pixels of the blocks that suit a step, those with less code first."""
    geometry = Geometry.of(context)
    pairs = convolution_of(context).weight_bits == 4  # two channels' weights share a word
    if geometry.output_width > 1:
        # Three pixels leave Cortex-M7 enough registers to lose no cycle (`dual_issue`).
        return [(2, 4), (2, 3)] if context.core.name == "cortex-m7" else [(2, 4)]
    # More channels share the loads of the only pixel, fewer leave less left over.
    return [(channels, 1) for channels in ((4, 6) if pairs else (4, 5, 6)) if channels <= geometry.output_channels] or [
        (geometry.output_channels, 1)
    ]


def plan_blocks(context: StepContext, scheme: Scheme, channels: int, pixels: int) -> Plan | str:
    """The plan for a step with blocks of `channels` x `pixels`, or why there is none."""
    geometry = Geometry.of(context)
    if geometry.output_channels < 2:
        return "two output channels or more"
    phases = _phases(geometry)
    if phases and pixels > 1 and pixels % phases:
        return f"blocks of {phases} pixels only, as many as there are copies of a row"
    kernel = _kernel(context, geometry, scheme, channels, pixels, phases)
    if kernel.pieces > MAX_PIECES:
        return f"at most {MAX_PIECES} pieces of the inputs"
    run_pieces = kernel.pieces // geometry.run_count
    run_groups = run_pieces * kernel.groups
    if kernel.control is Control.LINEAR:
        run_groups = -(-_run_groups(geometry, phases) // kernel.groups) * kernel.groups
    row_words = geometry.ring_columns * geometry.column_words
    if phases:
        last_start = (geometry.output_width - 1) * geometry.strides[1] * geometry.input_channels // 4
        row_words = 2 * (last_start + run_groups)
    offsets = _pixel_offsets(geometry, pixels, phases, row_words)
    whole = replace(kernel, pixel_offsets=offsets)
    if not whole.fits_offsets:
        return "receptive fields of neighbouring pixels within 4 KiB of the tile"
    left_over = geometry.output_width % pixels or pixels
    rest = replace(whole, pixels=left_over, pixel_offsets=offsets[:left_over])
    interleave = pixels if geometry.pixelwise else 1
    layout = TileLayout(
        tile_pixels=geometry.tile_pixels(interleave),
        backwards=int(geometry.in_place_order(interleave) < 0),
        interleave=interleave,
        phases=phases,
        row_words=row_words,
        run_pieces=run_pieces,
        piece_groups=run_groups // run_pieces,
        step=_step(geometry, pixels, phases, run_groups),
        block_words=channels * (1 + whole.parameter_words) + geometry.run_count * run_groups * whole.weight_words,
    )
    return Plan(geometry, scheme, layout, run_groups, rest if geometry.output_width < pixels else whole, rest)


def schemes_to_try(context: StepContext) -> list[Scheme]:
    """The half-extension where it is exact as it is, else all that are exact, those that take less flash first.

    Only int16 weights can contain a left shift; they take twice the flash, which only `speed` spends for cycles.
    Weights of 4 bits have a scheme of their own.
    """
    step, highest_code = convolution_of(context), context.inputs[0].highest_code
    if step.weight_bits == 4:
        return [Scheme.NIBBLE] if _fits_nibbles(step, highest_code) else []
    shift = step.requantize.shift
    exact = scaled_multipliers(step, _HALF_FACTOR) is not None
    symmetric = int(step.weight.min(initial=0)) >= -127
    if symmetric and exact and accumulator_reach(step, highest_code) * _HALF_FACTOR < 2**31:
        return [Scheme.HALF]
    least, greatest = step.accumulator_bounds(highest_code)
    wide_fits = int(abs(step.weight.astype("int16")).max(initial=0)) << shift < 2**15
    possible = {
        Scheme.PLAIN: shift == 0,
        Scheme.RESTORED: symmetric and shift == 0 and int((greatest - least).max()) * _HALF_FACTOR < 2**32,
        Scheme.WIDE: wide_fits and (shift > 0 or context.core.optimize == "speed"),
    }
    return [scheme for scheme in possible if possible[scheme]]


def _fits_nibbles(step: Convolution, highest_code: int) -> bool:
    """Whether sums 16 times too large fit 32 bits, and their left shift is none beyond these 16."""
    fits = accumulator_reach(step, highest_code) * NIBBLE_FACTOR < 2**31
    exact = scaled_multipliers(step, NIBBLE_FACTOR) is not None
    return fits and (exact or step.requantize.shift < _NIBBLE_SHIFT)


def _right_shift(step: Convolution, scheme: Scheme) -> int:
    """Of sums that are 16 times too large, where the multipliers can't be divided by 16 exactly instead."""
    if scheme is not Scheme.NIBBLE or scaled_multipliers(step, NIBBLE_FACTOR) is not None:
        return 0
    return _NIBBLE_SHIFT - step.requantize.shift


def scaled_multipliers(step: Convolution, factor: int) -> NDArray[np.int64] | None:
    """Multipliers, left shift included, for sums that are `factor` times too large; None where they are no int32."""
    scaled = step.requantize.multiplier.astype(np.int64) << step.requantize.shift
    if (scaled % factor).any() or int(abs(scaled).max(initial=0)) // factor >= 2**31:
        return None
    return scaled // factor


def _phases(geometry: Geometry) -> int:
    """Copies of a row without gaps, where that saves products; 0: columns are padded to groups of four instead."""
    if geometry.pixelwise or geometry.dilations[1] != 1:
        return 0
    without_gaps = -(-geometry.kernel[1] * geometry.input_channels // 4)
    if without_gaps >= geometry.run_groups:
        return 0
    return 4 // math.gcd(4, geometry.strides[1] * geometry.input_channels)


def _run_groups(geometry: Geometry, phases: int) -> int:
    return -(-geometry.kernel[1] * geometry.input_channels // 4) if phases else geometry.run_groups


def _kernel(
    context: StepContext, geometry: Geometry, scheme: Scheme, channels: int, pixels: int, phases: int
) -> BlockKernel:
    """The block function for whole groups of pixels, but for the places of the pixels in the tile."""
    dual_issue = context.core.name == "cortex-m7"
    interleave = pixels if geometry.pixelwise else 1
    kernel = BlockKernel(
        dual_issue=dual_issue,
        scheme=scheme,
        control=Control.UNROLLED,
        channels=channels,
        pixels=pixels,
        groups=_run_groups(geometry, phases),
        pieces=geometry.run_count,
        pixel_offsets=(0,) * pixels,
        group_bytes=8 * interleave,
        half_bytes=4 * interleave,
        right_shift=_right_shift(convolution_of(context), scheme),
    )
    limits = _DUAL_ISSUE_LIMITS if dual_issue else _SINGLE_ISSUE_LIMITS
    if (
        kernel.pieces <= _MOST_UNROLLED_PIECES
        and kernel.pieces * kernel.groups * kernel.code_of_group <= limits.unrolled
    ):
        return kernel
    control = Control.LINEAR if geometry.pixelwise else Control.LOOP
    most = (limits.linear if geometry.pixelwise else limits.loop) // kernel.code_of_group
    candidates = ((-(-kernel.groups // groups), groups) for groups in range(1, min(most, kernel.groups) + 1))
    parts, groups = min(candidates, key=lambda c: (c[0] * (c[1] + _PART_COST), c[0]))
    pieces = kernel.pieces if control is Control.LINEAR else kernel.pieces * parts
    return replace(kernel, control=control, groups=groups, pieces=pieces)


def _pixel_offsets(geometry: Geometry, pixels: int, phases: int, row_words: int) -> tuple[int, ...]:
    """Bytes in the tile from the first pixel to each."""
    if geometry.pixelwise:
        return tuple(4 * p for p in range(pixels))
    if not phases:
        return tuple(4 * p * geometry.strides[1] * geometry.column_words for p in range(pixels))
    codes = geometry.strides[1] * geometry.input_channels
    return tuple(4 * (p % phases) * row_words + 8 * (p * codes // 4) for p in range(pixels))


def _step(geometry: Geometry, pixels: int, phases: int, run_groups: int) -> int:
    """Bytes in the tile from a group of pixels to the next."""
    if geometry.pixelwise:
        return 8 * pixels * run_groups
    if phases:
        return 2 * pixels * geometry.strides[1] * geometry.input_channels
    return 4 * pixels * geometry.strides[1] * geometry.column_words
