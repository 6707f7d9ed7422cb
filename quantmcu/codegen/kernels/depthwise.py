"""Depthwise convolutions in assembly that is generated for the kernel's size, the map's width and the core.

Packed maps are unpacked on their way into the tile, which needs fewer instructions than bytes do; outputs wait in
scratch memory for the other three channels of their group.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from quantmcu.codegen.assembly.depthwise import DepthwiseKernel, generate_depthwise
from quantmcu.codegen.assembly.depthwise_shape import DepthwiseShape, c_products
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
from quantmcu.codegen.kernels.convolution import channel_constants, convolution_of
from quantmcu.codegen.packed import is_packed, maps_of_codes
from quantmcu.codegen.registry import register
from quantmcu.codegen.templates import environment
from quantmcu.program.steps import Convolution

_PLANES = 4  # channels in the tile at once
_LARGEST_KERNEL = 7  # weights of a kernel row stay in registers
_LARGEST_SHIFT = 8  # weights are half-words
# The tile holds more row pairs than a step reads where that costs little memory: pairs are then moved less often.
_ENOUGH_SCRATCH = 4096

# Cycles by kind of work (`_work`).
_CYCLES_M4 = {
    "group": 413.0,
    "weight": 15.1,
    "block": 9.6,
    "product": 2.09,
    "product, one column register": 0.2,
    "pair": 183.0,
    "column": 18.7,
    "packed column": 16.8,
    "packed output": 10.5,
    "moved": 8.3,
    "tile": 19.9,
}
_CYCLES_M7 = {
    "group": 254.0,
    "weight": 6.6,
    "block": 8.8,
    "product": 1.03,
    "product, one column register": 0.38,
    "product, resident weights": 0.14,
    "pair": 139.0,
    "column": 6.7,
    "packed column": 7.3,
    "packed output": 5.5,
    "moved": 5.6,
    "tile": 14.1,
}


@register
class DepthwiseGenerated(Kernel):
    """Four channels at a time in a tile of row pairs, blocks of four outputs, two taps an instruction."""

    name = "depthwise_generated"
    step_type = Convolution

    def unsupported(self, context: StepContext) -> str | None:
        """Kernels up to 7 wide, strides 1 and 2, one output channel a group; packed maps of 4, 8, .. channels."""
        step = convolution_of(context)
        if not step.is_depthwise or step.weight.shape[0] != step.groups:
            return "depthwise convolutions with one output channel for each input channel only"
        if not all(2 <= size <= _LARGEST_KERNEL for size in step.kernel):
            return (
                f"kernels from 2x2 to {_LARGEST_KERNEL}x{_LARGEST_KERNEL} only, not {step.kernel[0]}x{step.kernel[1]}"
            )
        if any(stride not in (1, 2) for stride in step.strides):
            return f"strides 1 and 2 only, not {step.strides}"
        if step.dilations != (1, 1):
            return "no dilation"
        if any(pad >= size for pad, size in zip(step.pads, (*step.kernel, *step.kernel), strict=True)):
            return "padding less than the kernel only"
        least, greatest = step.accumulator_bounds(context.inputs[0].highest_code)
        if step.requantize.saturates(int(max(-least.min(), greatest.max()))) or step.requantize.shift > _LARGEST_SHIFT:
            return "sums that saturate"
        if context.output.shape[2] < 2:
            return "at least 2 outputs in a row"
        if _kernel(context).largest_offset > 4095:
            return "rows or pixels too long for the offsets of instructions"
        if is_packed(context) and context.output.shape[-1] % _PLANES:
            return f"packed maps of a multiple of {_PLANES} channels only"
        return maps_of_codes(context) or needs_dsp(context)

    def scratch_bytes(self, context: StepContext) -> int:
        """The tile, the weight words of four channels, and four outputs a word before they are packed."""
        shape, pairs = _shape(context), _tile_pairs(context)
        words = _PLANES * (pairs * _tile_columns(context) + 2 + shape.stream_words)
        if context.output.bits < 8:
            words += _steps_a_filling(context) * shape.rows * context.output.shape[2]
        return words * 4

    def in_place_inputs(self, context: StepContext) -> tuple[int, ...]:
        """The rows that a step overwrites are in the tile before; so rows must stay where they are."""
        value = context.inputs[0]
        return (0,) if (value.shape, value.bits) == (context.output.shape, context.output.bits) else ()

    def cycles(self, context: StepContext) -> float:
        """Fitted on emulator measurements of 31 layers, within 5 % on Cortex-M4 and 7 % on Cortex-M7; packed, 9 %."""
        work = _work(context)
        return cycles_on(
            context.core,
            m4=sum(count * _CYCLES_M4.get(kind, 0.0) for kind, count in work.items()),
            m7=sum(count * _CYCLES_M7.get(kind, 0.0) for kind, count in work.items()),
        )

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        step = convolution_of(context)
        kernel = _kernel(context)
        shape = kernel.shape
        bias, multiplier = channel_constants(context)
        shifted = (np.asarray(bias.data, np.int64) << step.requantize.shift).astype(np.int32)
        weight = shape.weight_stream(step.weight[..., 0])
        call = Call(kernel.symbol, "qmcu_depthwise_params", _fields(context), (Input(), Output(), Scratch()))
        return LoweredStep(
            (call,),
            (
                Constant("weight", weight, comment="[channel][word][low, high]: weights in the order of their use"),
                Constant("bias", shifted),
                multiplier,
            ),
            headers=("depthwise.h", f"{kernel.symbol}.h"),
            sources=("depthwise.c", "depthwise_packed.c") if is_packed(context) else ("depthwise.c",),
            generated=_generated_files(kernel),
        )


def _shape(context: StepContext) -> DepthwiseShape:
    """Blocks of 2 x 2 outputs where rows advance by one, or are too short for 1 x 4."""
    step = convolution_of(context)
    rows = 1 if step.strides[0] == 2 and context.output.shape[2] >= 4 else 2
    return _remembered_shape(*step.kernel, *step.strides, rows)


_remembered_shape = cache(DepthwiseShape)
"""Its passes are worked out once."""


def _kernel(context: StepContext) -> DepthwiseKernel:
    return DepthwiseKernel(
        shape=_shape(context),
        dual_issue=context.core.name == "cortex-m7",
        has_fpu=context.core.has_fpu,
        pair_bytes=4 * _tile_columns(context),
        pixel_bytes=context.output.shape[-1] if context.output.bits == 8 else _PLANES,
        input_bits=context.inputs[0].bits,
        output_bits=context.output.bits,
    )


def _tile_columns(context: StepContext) -> int:
    """Columns that the map, the padding to its left and the last outputs reach."""
    step = convolution_of(context)
    read = (context.output.shape[2] - 1) * step.strides[1] + step.kernel[1]
    return max(read, step.pads[1] + context.inputs[0].shape[2])


def _tile_pairs(context: StepContext) -> int:
    """As many row pairs as fit 4 KiB, or a 16th of a large map; those of one step at least, those of all at most."""
    shape = _shape(context)
    steps = -(-context.output.shape[1] // shape.rows)
    allowed = max(_ENOUGH_SCRATCH, context.inputs[0].elements // 16) // (_PLANES * _tile_columns(context) * 4)
    return min(max(shape.pairs, allowed), shape.pairs + (steps - 1) * shape.pairs_per_step)


def _steps_a_filling(context: StepContext) -> int:
    """Steps that a full tile suffices for."""
    shape = _shape(context)
    return (_tile_pairs(context) - shape.pairs) // shape.pairs_per_step + 1


def _work(context: StepContext) -> dict[str, int]:
    """How often each kind of work is done."""
    shape, channels = _shape(context), context.output.shape[-1]
    steps = -(-context.output.shape[1] // shape.rows)
    blocks = channels * steps * -(-context.output.shape[2] // shape.columns)
    groups = -(-channels // _PLANES)
    pairs = groups * ((steps - 1) * shape.pairs_per_step + shape.pairs)
    moves = groups * (-(-steps // _steps_a_filling(context)) - 1)
    products = blocks * shape.products
    columns = pairs * context.inputs[0].shape[2]
    return {
        "group": groups,
        "weight": channels * shape.words,
        "block": blocks,
        "product": products,
        "product, one column register": products if shape.column_registers == 1 else 0,
        "product, resident weights": products if shape.is_resident else 0,
        "pair": pairs,
        "column": 0 if context.inputs[0].bits < 8 else columns,
        "packed column": columns if context.inputs[0].bits < 8 else 0,
        "packed output": context.output.elements // _PLANES if context.output.bits < 8 else 0,
        "moved": moves * _PLANES * (shape.pairs - shape.pairs_per_step) * _tile_columns(context),
        "tile": _PLANES * _tile_pairs(context) * _tile_columns(context),
    }


def _fields(context: StepContext) -> dict[str, FieldValue]:
    """Fields of qmcu_depthwise_params."""
    step, shape = convolution_of(context), _shape(context)
    _, input_height, input_width, channels = context.inputs[0].shape
    return {
        "input_height": input_height,
        "input_width": input_width,
        "channels": channels,
        "output_height": context.output.shape[1],
        "output_width": context.output.shape[2],
        "pad_top": step.pads[0],
        "pad_left": step.pads[1],
        "stride_x": step.strides[1],
        "rows": shape.rows,
        "columns": shape.columns,
        "pairs": shape.pairs,
        "pairs_per_step": shape.pairs_per_step,
        "tile_columns": _tile_columns(context),
        "tile_pairs": _tile_pairs(context),
        "input_bits": context.inputs[0].bits,
        "output_bits": context.output.bits,
        "words": shape.stream_words,
        "weight": Reference("weight"),
        "bias": Reference("bias"),
        "multiplier": Reference("multiplier"),
        "input_zero_point": step.input_zero_point,
        **requantize_fields(step.requantize),
    }


@cache
def _generated_files(kernel: DepthwiseKernel) -> dict[str, str]:
    arguments = {
        "kernel": kernel,
        "shape": kernel.shape,
        "core": "Cortex-M7" if kernel.dual_issue else "Cortex-M4",
        "lines": generate_depthwise(kernel),
        "statements": c_products(kernel.shape),
    }
    return {
        f"{kernel.symbol}.{suffix}": environment().get_template(f"depthwise_block.{suffix}.j2").render(arguments)
        for suffix in ("c", "h")
    }
