"""Convolutions without groups and weights of 4 or 2 bits by packed multiplication, generated for shape and core."""

from __future__ import annotations

import textwrap
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from quantmcu.codegen.assembly.outer import CHANNELS, describe_registers, generate_outer_kernel
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
from quantmcu.codegen.kernels.convolution import convolution_of, window_fields
from quantmcu.codegen.kernels.matmul_cost import predict
from quantmcu.codegen.kernels.outer_cost import OUTER_COSTS, work_of_outer
from quantmcu.codegen.kernels.outer_plan import OuterPlan, divided, fields_to_try, plan_outer, tile_rows
from quantmcu.codegen.registry import register
from quantmcu.codegen.templates import environment
from quantmcu.program.steps import Convolution, Step

_PLANS: WeakKeyDictionary[Step, dict[tuple[object, ...], OuterPlan | str]] = WeakKeyDictionary()
_ORDER = (0, 2, 1, 3)  # of the channels of a block


@register
class PackedOuterGenerated(Kernel):
    """Blocks of 4 channels x 4 or 6 pixels in assembly: each SMLAL multiplies two weights with two or three codes."""

    name = "packed_outer_generated"
    step_type = Convolution
    order = 16

    def unsupported(self, context: StepContext) -> str | None:
        """See `Kernel`."""
        plan = best_outer_plan(context)
        return plan if isinstance(plan, str) else None

    def scratch_bytes(self, context: StepContext) -> int:
        """See `Kernel` and packed_outer.h."""
        plan = _plan(context)
        value, pixels = context.inputs[0], plan.kernel.pixels
        copies = 1 + (pixels if value.row_bytes % 4 else 0)
        staged = context.output.row_bytes if plan.whole_pixels else CHANNELS * plan.blocks(context)
        return 8 * plan.inputs + copies * ((value.row_bytes + 3) // 4 * 4) + pixels * staged

    def in_place_inputs(self, context: StepContext) -> tuple[int, ...]:
        """See `Kernel`."""
        return (0,) if convolution_of(context).is_pointwise else ()

    def cycles(self, context: StepContext) -> float:
        """See `Kernel`."""
        return predict(OUTER_COSTS, context.core, work_of_outer(_plan(context), context))

    def lower(self, context: StepContext) -> LoweredStep:
        """See `Kernel`."""
        plan = _plan(context)
        bits, fields = context.inputs[0].bits, plan.kernel.fields
        symbol = f"{plan.kernel.symbol}_x{bits}"
        title = (
            f"products of codes of {bits} bits with weights of {plan.kernel.weight_bits} bits, "
            f"{CHANNELS} channels x {plan.kernel.pixels} pixels"
        )
        arguments = {
            "title": title,
            "symbol": symbol,
            "kernel": plan.kernel,
            "fill": f"qmcu_packed_outer_fill_x{bits}_w{plan.kernel.weight_bits}_{fields}",
            "registers": textwrap.wrap(describe_registers(plan.kernel), 110),
            "lines": generate_outer_kernel(plan.kernel),
        }
        templates = environment()
        comment = "blocks of 4 channels: start values, words of two weights, biases, multipliers (packed_outer.h)"
        return LoweredStep(
            calls=(Call(symbol, "qmcu_packed_outer_params", _fields(context, plan), (Input(), Output(), Scratch())),),
            constants=(Constant("weights", outer_weights(context, plan), 4, comment),),
            headers=("packed_outer.h", f"{symbol}.h"),
            sources=("packed.c", "packed_outer.c", "packed_outer_portable.c", "packed_outer_tile.c"),
            generated={
                f"{symbol}.{suffix}": templates.get_template(f"packed_outer.{suffix}.j2").render(arguments)
                for suffix in ("h", "c")
            },
        )


def best_outer_plan(context: StepContext) -> OuterPlan | str:
    """The division with the fewest predicted cycles, or why there is none."""
    values = (context.inputs[0], context.output)
    key = (*((value.shape, value.bits) for value in values), context.core)
    known = _PLANS.setdefault(context.step, {})
    if key not in known:
        tried = [plan_outer(context, fields) for fields in fields_to_try(context)]
        plans = [plan for plan in tried if isinstance(plan, OuterPlan)]

        def cycles(plan: OuterPlan) -> float:
            return predict(OUTER_COSTS, context.core, work_of_outer(plan, context))

        known[key] = min(plans, key=cycles) if plans else tried[0]
    return known[key]


def _plan(context: StepContext) -> OuterPlan:
    plan = best_outer_plan(context)
    if isinstance(plan, str):
        raise ValueError(f"{context.step.name}: {plan}")
    return plan


def _fields(context: StepContext, plan: OuterPlan) -> dict[str, FieldValue]:
    """Fields of qmcu_packed_outer_params."""
    step, value = convolution_of(context), context.inputs[0]
    _, input_height, input_width, _ = value.shape
    _, output_height, output_width, output_channels = context.output.shape
    q, blocks = step.requantize, plan.blocks(context)
    return {
        "weights": Reference("weights"),
        "input_height": input_height,
        "input_width": input_width,
        "output_height": output_height,
        "output_width": output_width,
        "output_channels": output_channels,
        **window_fields(step),
        "input_bytes": value.row_bytes,
        "padding": sum(step.input_zero_point << shift for shift in range(0, 8, value.bits)),
        "output_bits": context.output.bits,
        "whole_pixels": int(plan.whole_pixels),
        "backwards": int(context.output.row_bytes > value.row_bytes),
        "blocks": blocks,
        "block_words": plan.parts * (CHANNELS + 2 * plan.part_inputs) + 2 * CHANNELS,
        "parts": plan.parts,
        "part_inputs": plan.part_inputs,
        "zero_point": q.zero_point,
        "low": q.low,
        "high": q.high,
    }


def outer_weights(context: StepContext, plan: OuterPlan) -> NDArray[np.uint32]:
    """The stream of blocks (packed_outer.h)."""
    step, kernel = convolution_of(context), plan.kernel
    missing = (0, -len(step.bias) % CHANNELS)
    multiplier = np.broadcast_to(step.requantize.multiplier, step.bias.shape).astype(np.int64)
    rows = np.pad(divided(tile_rows(context), plan.parts, plan.part_inputs), (missing, (0, 0), (0, 0)))
    starts = -np.minimum(rows, 0).sum(axis=2) * context.inputs[0].highest_code
    bias = (np.pad(step.bias.astype(np.int64), missing) - starts.sum(axis=1)) << kernel.shift

    def blocks(values: NDArray[np.int64]) -> NDArray[np.int64]:
        """By block, in the order of the words: channels 0 and 2, then 1 and 3."""
        return values.reshape(-1, CHANNELS, *values.shape[1:])[:, _ORDER]

    ordered = blocks(rows)
    words = ordered[:, 0::2] + (ordered[:, 1::2] << (32 - kernel.weight_bits))  # [block, word, part, input]
    ones = sum(1 << field * kernel.field_bits for field in range(kernel.fields))
    begin = blocks(starts) * ones  # [block, channel, part]
    begin[:, 0::2] <<= kernel.weight_bits
    stream = np.concatenate(
        [
            np.concatenate([begin.transpose(0, 2, 1), _interleaved(words)], axis=2).reshape(len(ordered), -1),
            blocks(bias),
            blocks(np.pad(multiplier, missing)),
        ],
        axis=1,
    )
    return (stream.reshape(-1) & 0xFFFFFFFF).astype(np.uint32)


def _interleaved(words: NDArray[np.int64]) -> NDArray[np.int64]:
    """[block, word, part, input] as [block, part, input and word]."""
    moved = words.transpose(0, 2, 3, 1)
    return moved.reshape(*moved.shape[:2], -1)
