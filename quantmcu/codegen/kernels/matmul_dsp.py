"""Convolutions without groups and dense layers by DSP instructions in C: any shape of 8-bit maps and weights."""

from __future__ import annotations

import numpy as np

from quantmcu.codegen.kernel import Call, Constant, Input, Kernel, LoweredStep, Output, Scratch, StepContext
from quantmcu.codegen.kernels.matmul_layout import (
    Geometry,
    matmul_fields,
    unsupported_by_drivers,
    weight_groups,
    weight_stream,
)
from quantmcu.codegen.registry import register
from quantmcu.program.steps import Convolution

_PIXELS = 2
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
        return Geometry.of(context).tile_bytes(_PIXELS)

    def in_place_inputs(self, context: StepContext) -> tuple[int, ...]:
        """See `Kernel`."""
        return (0,) if Geometry.of(context).may_run_in_place(_PIXELS) else ()

    def cycles(self, context: StepContext) -> float:
        """See `Kernel`."""
        geometry = Geometry.of(context)
        return 2.0 * geometry.outputs * geometry.depth

    def lower(self, context: StepContext) -> LoweredStep:
        """See `Kernel`."""
        step = context.step
        assert isinstance(step, Convolution)
        geometry = Geometry.of(context)
        words = np.ascontiguousarray(weight_groups(step)).view(np.uint32)
        multiplier = np.broadcast_to(step.requantize.multiplier, step.bias.shape)
        missing = (0, -len(step.bias) % _CHANNELS)  # an odd number of channels is filled with an idle one
        stream = weight_stream(
            np.pad(words, (missing, (0, 0), (0, 0))), np.pad(step.bias, missing), np.pad(multiplier, missing), _CHANNELS
        )
        comment = "blocks of 2 channels: biases, int8 weights of 4 inputs, multipliers (matmul.h)"
        function = "qmcu_matmul_pixels_dsp" if geometry.pixelwise else "qmcu_matmul_rows_dsp"
        fields = matmul_fields(step, geometry, geometry.tile_pixels(_PIXELS), 1, 1, geometry.run_groups, 0)
        return LoweredStep(
            calls=(Call(function, "qmcu_matmul_params", fields, (Input(), Output(), Scratch())),),
            constants=(Constant("weights", stream, 4, comment),),
            headers=("matmul.h",),
            sources=("matmul_drivers.c", "matmul_dsp.c", "matmul_tile.c"),
        )
