"""Convolutions in plain C: any shape, every core."""

from __future__ import annotations

from quantmcu.codegen.common import cycles_on, requantize_fields
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
    only_8_bit_maps,
)
from quantmcu.codegen.registry import register
from quantmcu.program.steps import Convolution


def convolution_of(context: StepContext) -> Convolution:
    """The step, which is a convolution."""
    assert isinstance(context.step, Convolution)
    return context.step


def macs(context: StepContext) -> int:
    """Multiply-accumulates of a convolution."""
    weight = convolution_of(context).weight
    return context.output.elements * int(weight[0].size)


def only_8_bits(context: StepContext) -> str | None:
    """Why a kernel for 8-bit maps and weights can't compute this convolution, or None."""
    bits = convolution_of(context).weight_bits
    return only_8_bit_maps(context) or (f"weights of 8 bits only, not {bits}" if bits != 8 else None)


def window_fields(step: Convolution) -> dict[str, int]:
    """Kernel, strides, dilations and padding, as in most parameter structures."""
    return {
        "kernel_height": step.kernel[0],
        "kernel_width": step.kernel[1],
        "stride_y": step.strides[0],
        "stride_x": step.strides[1],
        "dilation_y": step.dilations[0],
        "dilation_x": step.dilations[1],
        "pad_top": step.pads[0],
        "pad_left": step.pads[1],
    }


def _fields(context: StepContext) -> dict[str, FieldValue]:
    """Fields of qmcu_conv2d_params."""
    step = convolution_of(context)
    _, input_height, input_width, input_channels = context.inputs[0].shape
    _, output_height, output_width, output_channels = context.output.shape
    return {
        "input_height": input_height,
        "input_width": input_width,
        "input_channels": input_channels,
        "output_height": output_height,
        "output_width": output_width,
        "output_channels": output_channels,
        **window_fields(step),
        "groups": step.groups,
        "weight": Reference("weight"),
        "bias": Reference("bias"),
        "multiplier": Reference("multiplier"),
        "input_zero_point": step.input_zero_point,
        **requantize_fields(step.requantize),
    }


def channel_constants(context: StepContext) -> tuple[Constant, Constant]:
    """Bias and multiplier of each output channel."""
    step = convolution_of(context)
    multiplier = step.requantize.multiplier
    if len(multiplier) == 1:
        multiplier = multiplier.repeat(len(step.bias))
    return Constant("bias", step.bias), Constant("multiplier", multiplier)


@register
class Conv2DPortable(Kernel):
    """One dot product over the receptive field for each output, which is gathered first unless it is contiguous."""

    name = "conv2d_portable"
    step_type = Convolution
    order = 9

    def unsupported(self, context: StepContext) -> str | None:
        """8 bits only."""
        return only_8_bits(context)

    def scratch_bytes(self, context: StepContext) -> int:
        """One receptive field of one group."""
        step = convolution_of(context)
        inside = step.kernel == (1, 1) and step.pads == (0, 0, 0, 0)
        return 0 if inside else int(step.weight[0].size)

    def cycles(self, context: StepContext) -> float:
        """Fitted on emulator measurements of GCC -O2."""
        step, outputs = convolution_of(context), context.output.elements
        gathered = outputs // context.output.shape[-1] * step.groups * self.scratch_bytes(context)
        pieces = gathered // step.weight.shape[3]
        return cycles_on(
            context.core,
            m4=7.4 * macs(context) + 52 * outputs + 80 * pieces + 0.9 * gathered,
            m7=3.1 * macs(context) + 40 * outputs + 36 * pieces + 0.5 * gathered,
        )

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        step = convolution_of(context)
        weight = Constant("weight", step.weight, comment="[output channel][ky][kx][input channel of the group]")
        call = Call("qmcu_conv2d", "qmcu_conv2d_params", _fields(context), (Input(), Output(), Scratch()))
        return LoweredStep(
            (call,),
            (weight, *channel_constants(context)),
            headers=("conv2d.h", "requantize.h", "dsp.h"),
            sources=("conv2d.c",),
        )


@register
class DepthwisePortable(Kernel):
    """Depthwise convolution that sums a block of channels at once."""

    name = "depthwise_portable"
    step_type = Convolution
    order = 8

    def unsupported(self, context: StepContext) -> str | None:
        """8 bits, depthwise."""
        return only_8_bits(context) or (None if convolution_of(context).is_depthwise else "depthwise convolutions only")

    def cycles(self, context: StepContext) -> float:
        """Fitted on emulator measurements of GCC -O2."""
        outputs = context.output.elements
        return cycles_on(context.core, m4=11.4 * macs(context) + 52 * outputs, m7=5.6 * macs(context) + 31 * outputs)

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        step = convolution_of(context)
        weight = Constant("weight", step.weight[..., 0].transpose(1, 2, 0), comment="[ky][kx][output channel]")
        call = Call("qmcu_depthwise_conv2d", "qmcu_conv2d_params", _fields(context), (Input(), Output()))
        return LoweredStep(
            (call,),
            (weight, *channel_constants(context)),
            headers=("conv2d.h", "requantize.h", "dsp.h"),
            sources=("conv2d.c",),
        )
