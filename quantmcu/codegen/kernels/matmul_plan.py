"""How a generated kernel divides a convolution: blocks of channels and pixels, pieces of the inputs, scheme."""

from __future__ import annotations

from dataclasses import dataclass, replace

from quantmcu.codegen.assembly import BlockKernel, Scheme
from quantmcu.codegen.kernel import Core, StepContext
from quantmcu.codegen.kernels.matmul_layout import MAX_PIECES, Geometry
from quantmcu.program.steps import Convolution

_HALF_FACTOR = 256
# Groups of four inputs that are unrolled. Four of them take about 450 bytes of code: on Cortex-M4 the loop shall stay below
# 1 KiB, the flash accelerator's instruction cache on STM32F4 and L4; Cortex-M7 has 4 KiB of cache or more.
_UNROLLED_SINGLE_ISSUE = 7
_UNROLLED_DUAL_ISSUE = 36
_PIECE_COST = 0.4  # of a piece's overhead, in groups


@dataclass(frozen=True)
class Plan:
    """The division, and the block functions for it.

    Attributes:
        interleave: pixels whose words alternate in the tile.
        run_pieces, piece_groups: see `qmcu_matmul_params`.
        whole, rest: block functions for all groups of pixels but the last, and for the last when it is smaller.
    """

    geometry: Geometry
    scheme: Scheme
    interleave: int
    run_pieces: int
    piece_groups: int
    whole: BlockKernel
    rest: BlockKernel

    @property
    def pieces(self) -> int:
        """Pieces of an output's inputs."""
        return self.geometry.run_count * self.run_pieces

    @property
    def run_groups(self) -> int:
        """Groups of four inputs of a run, with the padding that fills the last piece."""
        return self.run_pieces * self.piece_groups

    @property
    def block_words(self) -> int:
        """Words of the weights of a block of channels."""
        groups = self.pieces * self.piece_groups
        return self.whole.channels * (2 + groups * self.whole.weight_words)

    @property
    def tile_bytes(self) -> int:
        """Bytes of the tile; the last piece may reach beyond the last column."""
        geometry = self.geometry
        if geometry.pixelwise:
            return 8 * self.run_groups * geometry.tile_pixels(self.interleave)
        run_groups = geometry.run_groups
        return geometry.tile_bytes(1) + 8 * (self.run_groups - run_groups)


def plan_blocks(context: StepContext) -> Plan | str:
    """The plan for a step, or why there is none."""
    step = context.step
    assert isinstance(step, Convolution)
    geometry = Geometry.of(context)
    scheme = _scheme(step, context.inputs[0].highest_code)
    if scheme is None:
        return "weights that fit int16 with the left shift only"
    single_pixel = geometry.output_width == 1
    channels = min(4, geometry.output_channels) if single_pixel else 2
    pixels = 1 if single_pixel else 4
    if geometry.output_channels < channels or channels == 1:
        return "two output channels or more"
    interleave = pixels if geometry.pixelwise else 1
    run_pieces, piece_groups = _pieces(geometry.run_groups, context.core)
    if geometry.run_count * run_pieces > MAX_PIECES:
        return f"at most {MAX_PIECES} pieces"
    whole = BlockKernel(
        dual_issue=context.core.name == "cortex-m7",
        scheme=scheme,
        channels=channels,
        pixels=pixels,
        groups=piece_groups,
        single_piece=geometry.run_count * run_pieces == 1,
        pixel_bytes=4 if interleave > 1 else 4 * geometry.strides[1] * geometry.column_words,
        group_bytes=8 * interleave,
        half_bytes=4 * interleave,
    )
    if whole.largest_offset > 4095:
        return "receptive fields of neighbouring pixels within 4 KiB of the tile"
    rest = replace(whole, pixels=geometry.output_width % pixels or pixels)
    if geometry.output_width < pixels:
        whole = replace(rest)
    return Plan(geometry, scheme, interleave, run_pieces, piece_groups, whole, rest)


def _scheme(step: Convolution, highest_code: int) -> Scheme | None:
    """The half-extension where it is exact."""
    least, greatest = step.accumulator_bounds(highest_code)
    shift = step.requantize.shift
    fits = max(-int(least.min()), int(greatest.max())) * _HALF_FACTOR < 2**31
    scaled = step.requantize.multiplier.astype("int64") << shift
    exact = not (scaled % _HALF_FACTOR).any() and int(abs(scaled).max(initial=0)) // _HALF_FACTOR < 2**31
    if fits and exact and int(step.weight.min(initial=0)) >= -127:
        return Scheme.HALF
    largest = int(abs(step.weight.astype("int64")).max(initial=0)) << shift
    return Scheme.WIDE if largest < 2**15 else None


def _pieces(run_groups: int, core: Core) -> tuple[int, int]:
    """Pieces of a run and groups of a piece: the cheapest division that the instruction cache allows."""
    limit = _UNROLLED_DUAL_ISSUE if core.name == "cortex-m7" else _UNROLLED_SINGLE_ISSUE
    candidates = ((-(-run_groups // groups), groups) for groups in range(1, min(limit, run_groups) + 1))
    return min(candidates, key=lambda c: (c[0] * (c[1] + _PIECE_COST), c[0]))
