"""Convolutions without groups and dense layers by DSP instructions in C: any shape of 8-bit maps and weights."""

from __future__ import annotations

import numpy as np

from quantmcu.codegen.kernel import Call, Constant, FieldValue, Input, Kernel, LoweredStep, Output, Reference, Scratch, StepContext
from quantmcu.codegen.kernels.matmul_layout import Geometry, unsupported_by_drivers, weight_groups, weight_stream
from quantmcu.codegen.registry import register
from quantmcu.program.steps import Convolution

_PIXELS = 2
_CHANNELS = 2


def matmul_fields(step: Convolution, geometry: Geometry, tile_pixels: int, run_count: int) -> dict[str, FieldValue]:
    """Fields of `qmcu_matmul_params`."""
    q = step.requantize
    return {
        "weights": Reference("weights"),
        "input_height": geometry.input_height,
        "input_width": geometry.input_width,
        "input_channels": geometry.input_channels,
        "output_height": geometry.output_height,
        "output_width": geometry.output_width,
        "output_channels": geometry.output_channels,
        "kernel_height": geometry.kernel[0],
        "kernel_width": geometry.kernel[1],
        "stride_y": geometry.strides[0],
        "stride_x": geometry.strides[1],
        "dilation_y": geometry.dilations[0],
        "dilation_x": geometry.dilations[1],
        "pad_top": geometry.pad_top,
        "pad_left": geometry.pad_left,
        "input_zero_point": step.input_zero_point,
        "shift": q.shift,
        "zero_point": q.zero_point,
        "low": q.low,
        "high": q.high,
        "tile_pixels": tile_pixels,
        "run_count": run_count,
    }


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
        words = np.ascontiguousarray(weight_groups(step)).view(np.uint32)[:, :, 0]
        multiplier = np.broadcast_to(step.requantize.multiplier, step.bias.shape)
        stream = weight_stream(words, step.bias, multiplier, _CHANNELS)
        comment = "blocks of 2 channels: biases, then int8 weights of 4 inputs a channel in turn, multipliers (matmul.h)"
        function = "qmcu_matmul_pixels_dsp" if geometry.pixelwise else "qmcu_matmul_rows_dsp"
        fields = matmul_fields(step, geometry, geometry.tile_pixels(_PIXELS), 1)
        return LoweredStep(
            calls=(Call(function, "qmcu_matmul_params", fields, (Input(), Output(), Scratch())),),
            constants=(Constant("weights", stream, 4, comment),),
            headers=("matmul.h",),
            sources=("matmul_drivers.c", "matmul_dsp.c"),
        )
