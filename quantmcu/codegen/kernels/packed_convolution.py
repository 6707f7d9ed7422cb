"""Convolutions of packed maps or packed weights in plain C: any shape, any bits, every core."""

from __future__ import annotations

import numpy as np

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
from quantmcu.codegen.kernels.convolution import channel_constants, convolution_of, macs, window_fields
from quantmcu.codegen.packed import maps_of_codes, pack_weights, pixels_of
from quantmcu.codegen.registry import register
from quantmcu.program.steps import Convolution

_HEADERS = ("packed_conv2d.h", "packed.h", "requantize.h", "dsp.h")
_SOURCES = ("packed_conv2d.c", "packed.c")
_TILE_BYTES = 4096
_MOST_TILE_PIXELS = 16


def _fields(context: StepContext, tile_pixels: int) -> dict[str, FieldValue]:
    """Fields of qmcu_packed_conv2d_params."""
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
        "input_bits": context.inputs[0].bits,
        "weight_bits": step.weight_bits,
        "output_bits": context.output.bits,
        "tile_pixels": tile_pixels,
        "weight": Reference("weight"),
        "bias": Reference("bias"),
        "multiplier": Reference("multiplier"),
        "input_zero_point": step.input_zero_point,
        **requantize_fields(step.requantize),
    }


@register
class PackedConv2D(Kernel):
    """Receptive fields of some pixels are unpacked, then one row of weights after another meets all of them."""

    name = "packed_conv2d_portable"
    step_type = Convolution
    order = 19

    def unsupported(self, context: StepContext) -> str | None:
        """Any codes."""
        return maps_of_codes(context)

    def scratch_bytes(self, context: StepContext) -> int:
        """Receptive fields and outputs of the tile, and a row of weights."""
        step, pixels = convolution_of(context), _tile_pixels(context)
        return pixels * (int(step.weight[0].size) + len(step.weight)) + int(step.weight[0].size)

    def cycles(self, context: StepContext) -> float:
        """Fitted on emulator measurements of GCC -O2."""
        step, outputs = convolution_of(context), context.output.elements
        pixels = outputs // max(1, context.output.shape[-1])
        tiles = -(-pixels // _tile_pixels(context))
        unpacked = tiles * step.weight.size + pixels * step.groups * step.weight[0].size
        return cycles_on(
            context.core,
            m4=9.3 * macs(context) + 46 * outputs + 3.2 * unpacked + 1000,
            m7=3.6 * macs(context) + 30 * outputs + 1.4 * unpacked + 840,
        )

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        step = convolution_of(context)
        weight = pack_weights(step.weight.reshape(len(step.weight), -1), step.weight_bits)
        call = Call(
            "qmcu_packed_conv2d",
            "qmcu_packed_conv2d_params",
            _fields(context, _tile_pixels(context)),
            (Input(), Output(), Scratch()),
        )
        layout = f"{step.weight_bits} bits, packed: [output channel][ky][kx][input channel of the group]"
        return LoweredStep(
            (call,), (Constant("weight", weight, comment=layout), *channel_constants(context)), _HEADERS, _SOURCES
        )


@register
class PackedConv2DDsp(Kernel):
    """Two channels by two pixels at once: a mask widens weights of 8, 4 or 2 bits to the half-words of SMLAD.

    Padded weights add h * (code 0) = 0: padding codes of the tile are 0, and so is their sum.
    """

    name = "packed_conv2d_dsp"
    step_type = Convolution
    order = 17

    def unsupported(self, context: StepContext) -> str | None:
        """Any codes, no groups, sums of unsigned products that fit 32 bits."""
        step = convolution_of(context)
        if step.groups != 1:
            return "no groups"
        if int(step.weight[0].size) * 255 * context.inputs[0].highest_code >= 2**31:
            return "sums of unsigned products beyond 32 bits"
        return maps_of_codes(context) or needs_dsp(context)

    def scratch_bytes(self, context: StepContext) -> int:
        """Widened receptive fields, their sums, one as bytes, and the outputs of the tile."""
        padded, pixels = _padded_length(context), _tile_pixels(context)
        return pixels * (2 * padded + 4) + padded + pixels * len(convolution_of(context).weight)

    def cycles(self, context: StepContext) -> float:
        """Fitted on emulator measurements of GCC -O2."""
        step, pixels = convolution_of(context), pixels_of(context.output)
        outputs = 4 * -(-pixels // 2) * -(-len(step.weight) // 2)  # two by two
        products = outputs * _padded_length(context)
        unpacked = pixels * int(step.weight[0].size)
        return cycles_on(
            context.core,
            m4=2.1 * products + 105 * outputs + 14 * unpacked + 700,
            m7=1.3 * products + 62 * outputs + 8 * unpacked + 650,
        )

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        step = convolution_of(context)
        rows = step.weight.reshape(len(step.weight), -1).astype(np.int16) + 2 ** (step.weight_bits - 1)
        padded = np.pad(rows, ((0, 0), (0, _padded_length(context) - rows.shape[1])))
        weight = pack_weights(padded.astype(np.uint8).view(np.int8), step.weight_bits)
        call = Call(
            "qmcu_packed_conv2d_dsp",
            "qmcu_packed_conv2d_params",
            _fields(context, _tile_pixels(context)),
            (Input(), Output(), Scratch()),
        )
        layout = f"{step.weight_bits} bits, unsigned: [output channel][ky][kx][input channel], whole words"
        return LoweredStep(
            (call,),
            (Constant("weight", weight, comment=layout), *channel_constants(context)),
            _HEADERS,
            ("packed_conv2d_dsp.c", *_SOURCES),
        )


@register
class PackedDepthwise(Kernel):
    """Depthwise convolution that unpacks and sums a block of channels at once."""

    name = "packed_depthwise_portable"
    step_type = Convolution
    order = 18

    def unsupported(self, context: StepContext) -> str | None:
        """Any codes; one output channel a group."""
        step = convolution_of(context)
        one_each = step.is_depthwise and len(step.weight) == step.groups
        return maps_of_codes(context) or (None if one_each else "depthwise convolutions without multiplier only")

    def cycles(self, context: StepContext) -> float:
        """Fitted on emulator measurements of GCC -O2."""
        outputs, packed = context.output.elements, convolution_of(context).weight_bits < 8
        return cycles_on(
            context.core,
            m4=(39 if packed else 24) * macs(context) + 46 * outputs,
            m7=(21 if packed else 14) * macs(context) + 30 * outputs,
        )

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        step = convolution_of(context)
        taps = step.weight[..., 0].transpose(1, 2, 0).reshape(-1, len(step.weight))
        layout = f"{step.weight_bits} bits, packed: [ky][kx][channel]"
        weight = Constant("weight", pack_weights(taps, step.weight_bits), comment=layout)
        call = Call(
            "qmcu_packed_depthwise", "qmcu_packed_conv2d_params", _fields(context, 1), (Input(), Output())
        )
        return LoweredStep((call,), (weight, *channel_constants(context)), _HEADERS, _SOURCES)


def _padded_length(context: StepContext) -> int:
    """Weights of an output channel, rounded up to whole words."""
    step = convolution_of(context)
    in_word = 32 // step.weight_bits
    return -(-int(step.weight[0].size) // in_word) * in_word


def _tile_pixels(context: StepContext) -> int:
    """Pixels that share an unpacked row of weights: as many as fit _TILE_BYTES, one at least."""
    step, (_, height, width, _) = convolution_of(context), context.output.shape
    room = _TILE_BYTES // (int(step.weight[0].size) + len(step.weight))
    return max(1, min(room, _MOST_TILE_PIXELS, height * width))
