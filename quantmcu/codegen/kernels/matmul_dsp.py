"""Convolutions without groups and dense layers by DSP instructions in C: any shape of 8-bit maps and weights."""

from __future__ import annotations

import numpy as np

from quantmcu.codegen.kernel import Call, Constant, Input, Kernel, LoweredStep, Output, Scratch, StepContext
from quantmcu.codegen.kernels.matmul_cost import DSP_COSTS, predict, work_of_pairs
from quantmcu.codegen.kernels.matmul_layout import (
    Geometry,
    TileLayout,
    matmul_fields,
    unsupported_by_drivers,
    weight_groups,
    weight_stream,
)
from quantmcu.codegen.registry import register
from quantmcu.program.steps import Convolution

_CHANNELS = 2


@register
class MatmulDsp(Kernel):
    """Blocks of two channels x two pixels in C with DSP intrinsics; the fallback of the generated kernels."""

    name = "matmul_dsp"
    step_type = Convolution

    def unsupported(self, context: StepContext) -> str | None:
        """See `Kernel`."""
        if not context.core.has_dsp:
            return "cores with DSP instructions only"
        return unsupported_by_drivers(context)

    def scratch_bytes(self, context: StepContext) -> int:
        """See `Kernel`."""
        geometry = Geometry.of(context)
        return geometry.tile_bytes(_pixels(geometry))

    def in_place_inputs(self, context: StepContext) -> tuple[int, ...]:
        """See `Kernel`."""
        geometry = Geometry.of(context)
        return (0,) if geometry.in_place_order(_pixels(geometry)) else ()

    def cycles(self, context: StepContext) -> float:
        """See `Kernel`."""
        return predict(DSP_COSTS, context.core, work_of_pairs(Geometry.of(context)))

    def lower(self, context: StepContext) -> LoweredStep:
        """See `Kernel`."""
        step = context.step
        assert isinstance(step, Convolution)
        geometry = Geometry.of(context)
        words = np.ascontiguousarray(weight_groups(step.weight)).view(np.uint32)
        multiplier = np.broadcast_to(step.requantize.multiplier, step.bias.shape)
        missing = (0, -len(step.bias) % _CHANNELS)  # an odd number of channels is filled with an idle one
        words, bias = np.pad(words, (missing, (0, 0), (0, 0))), np.pad(step.bias, missing)
        stream = weight_stream(words, bias, [np.pad(multiplier, missing)], _CHANNELS)
        comment = "blocks of 2 channels: biases, int8 weights of 4 inputs, multipliers (matmul.h)"
        function = "qmcu_matmul_pixels_dsp" if geometry.pixelwise else "qmcu_matmul_rows_dsp"
        fields = matmul_fields(step, geometry, _layout(geometry))
        return LoweredStep(
            calls=(Call(function, "qmcu_matmul_params", fields, (Input(), Output(), Scratch())),),
            constants=(Constant("weights", stream, 4, comment),),
            headers=("matmul.h",),
            sources=("matmul_drivers.c", "matmul_dsp.c", "matmul_tile.c", "matmul_correct.c"),
        )


def _pixels(geometry: Geometry) -> int:
    """Pixels in a block."""
    return min(2, geometry.output_width)


def _layout(geometry: Geometry) -> TileLayout:
    between_pixels = geometry.column_words * (1 if geometry.pixelwise else geometry.strides[1])
    return TileLayout(
        tile_pixels=geometry.tile_pixels(_pixels(geometry)),
        backwards=int(geometry.in_place_order(_pixels(geometry)) < 0),
        interleave=1,
        phases=0,
        row_words=geometry.ring_columns * geometry.column_words,
        run_pieces=1,
        piece_groups=geometry.run_groups,
        step=4 * between_pixels,
        block_words=0,
    )
