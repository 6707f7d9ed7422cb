"""Depthwise convolutions with DSP instructions."""

from __future__ import annotations

from quantmcu.codegen.common import cycles_on, needs_dsp, requantize_fields
from quantmcu.codegen.kernel import (
    Call,
    Constant,
    FieldValue,
    Input,
    Kernel,
    LoweredStep,
    Output,
    Reference,
    Scratch,
    StepContext,
)
from quantmcu.codegen.kernels.convolution import channel_constants, convolution_of, macs, only_8_bits
from quantmcu.codegen.registry import register
from quantmcu.program.steps import Convolution

_KERNELS = (3, 5, 7)
_STRIDES = (1, 2)
_PLANES = 4  # channels in the tile at once
_BLOCK = 4  # outputs of one row that are computed together
_ENOUGH_SCRATCH = 2048
_LEAST_STRIP = 4


def _tile_width(context: StepContext) -> int:
    """Bytes of a row of the tile: the padded map's, and what the last block of outputs reads in whole words."""
    step = convolution_of(context)
    stride, kernel = step.strides[1], step.kernel[1]
    width = context.output.shape[2]
    rest = width % _BLOCK
    last_block = _BLOCK if rest in (0, 3) else 2
    start = (width - rest if rest else width - _BLOCK) * stride
    read = start + ((last_block - 1) * stride + kernel + 3) // 4 * 4
    return -(-max(read, step.pads[1] + context.inputs[0].shape[2]) // 4) * 4


def _tile_rows(context: StepContext, strip_rows: int) -> int:
    step = convolution_of(context)
    return (strip_rows - 1) * step.strides[0] + step.kernel[0]


def _strip_rows(context: StepContext) -> int:
    """Output rows a strip: as many as fit 2 KiB of tile, or a 32nd of a large map; at least 4."""
    height = context.output.shape[1]
    allowed = max(_ENOUGH_SCRATCH, context.inputs[0].nbytes // 32)
    fitting = [
        rows for rows in range(1, height + 1) if _PLANES * _tile_width(context) * _tile_rows(context, rows) <= allowed
    ]
    return max([min(_LEAST_STRIP, height), *fitting])


@register
class DepthwiseDsp(Kernel):
    """Four channels at a time in a planar tile, four neighbouring outputs at once, two taps an instruction."""

    name = "depthwise_dsp"
    step_type = Convolution

    def unsupported(self, context: StepContext) -> str | None:
        """Square kernels of 3, 5 or 7 at strides 1 or 2, one output channel a group."""
        step = convolution_of(context)
        if not step.is_depthwise or step.weight.shape[0] != step.groups:
            return "depthwise convolutions with one output channel for each input channel only"
        if step.kernel[0] != step.kernel[1] or step.kernel[0] not in _KERNELS:
            return f"kernels 3x3, 5x5 and 7x7 only, not {step.kernel[0]}x{step.kernel[1]}"
        if step.strides[0] != step.strides[1] or step.strides[0] not in _STRIDES:
            return f"strides 1 and 2 only, not {step.strides}"
        if step.dilations != (1, 1):
            return "no dilation"
        if any(pad >= step.kernel[0] for pad in step.pads):
            return "padding less than the kernel only"
        least, greatest = step.accumulator_bounds(context.inputs[0].highest_code)
        if step.requantize.saturates(int(max(-least.min(), greatest.max()))):
            return "accumulators that saturate"
        return only_8_bits(context) or needs_dsp(context)

    def scratch_bytes(self, context: StepContext) -> int:
        """The tile."""
        return _PLANES * _tile_width(context) * _tile_rows(context, _strip_rows(context))

    def in_place_inputs(self, context: StepContext) -> tuple[int, ...]:
        """A strip of rows is in the tile before it is overwritten; so rows must stay where they are."""
        return (0,) if context.inputs[0].shape == context.output.shape else ()

    def cycles(self, context: StepContext) -> float:
        """Fitted on emulator measurements of GCC -O2."""
        outputs = context.output.elements
        return cycles_on(context.core, m4=1.6 * macs(context) + 6 * outputs, m7=1.1 * macs(context) + 4 * outputs)

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        step = convolution_of(context)
        _, input_height, input_width, channels = context.inputs[0].shape
        form = f"depthwise_{step.kernel[0]}x{step.kernel[1]}_s{step.strides[0]}_dsp"
        fields: dict[str, FieldValue] = {
            "input_height": input_height,
            "input_width": input_width,
            "channels": channels,
            "output_height": context.output.shape[1],
            "output_width": context.output.shape[2],
            "pad_top": step.pads[0],
            "pad_left": step.pads[1],
            "strip_rows": _strip_rows(context),
            "tile_width": _tile_width(context),
            "weight": Reference("weight"),
            "bias": Reference("bias"),
            "multiplier": Reference("multiplier"),
            "input_zero_point": step.input_zero_point,
            **requantize_fields(step.requantize),
        }
        call = Call(f"qmcu_{form}", "qmcu_depthwise_dsp_params", fields, (Input(), Output(), Scratch()))
        return LoweredStep(
            (call,),
            (Constant("weight", step.weight[..., 0], comment="[channel][ky][kx]"), *channel_constants(context)),
            headers=("depthwise_dsp.h",),
            sources=(f"{form}.c",),
        )
