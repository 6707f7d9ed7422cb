"""Convolutions without groups and weights of 4 or 2 bits by packed multiplication, generated for shape and core."""

from __future__ import annotations

import textwrap
from typing import ClassVar
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
from quantmcu.codegen.kernels.outer_cost import DENSE_COSTS, OUTER_COSTS, work_of_dense, work_of_outer
from quantmcu.codegen.kernels.outer_plan import (
    AtOnce,
    OuterPlan,
    at_once,
    divided,
    fields_to_try,
    plan_outer,
    tile_rows,
)
from quantmcu.codegen.registry import register
from quantmcu.codegen.templates import environment
from quantmcu.program.steps import Convolution, Step

_PLANS: WeakKeyDictionary[Step, dict[tuple[object, ...], OuterPlan | str]] = WeakKeyDictionary()
_ORDER = (0, 2, 1, 3)  # of the channels of a block


@register
class PackedOuterGenerated(Kernel):
    """Blocks of 4 channels x 4 or 6 pixels in assembly: each SMLAL multiplies two weights with two or three codes."""

    name: ClassVar[str] = "packed_outer_generated"
    step_type = Convolution
    order = 16
    dense: ClassVar[bool] = False

    def unsupported(self, context: StepContext) -> str | None:
        """See `Kernel`."""
        plan = best_outer_plan(context)
        return plan if isinstance(plan, str) else None

    def scratch_bytes(self, context: StepContext) -> int:
        """See `Kernel` and packed_outer.h."""
        plan = _plan(context)
        together = at_once(plan, context, self.dense)
        value, pixels = context.inputs[0], plan.kernel.pixels
        expanded = 4 * plan.block_words * together.blocks if self.dense else 0
        copies = 1 + (pixels if value.row_bytes % 4 else 0)
        staged = context.output.row_bytes
        if not plan.whole_pixels:
            staged = CHANNELS * plan.blocks(context) * together.groups
        words = together.groups * plan.tile_bytes + expanded + copies * ((value.row_bytes + 3) // 4 * 4)
        return words + pixels * staged

    def in_place_inputs(self, context: StepContext) -> tuple[int, ...]:
        """See `Kernel`."""
        return (0,) if convolution_of(context).is_pointwise else ()

    def cycles(self, context: StepContext) -> float:
        """See `Kernel`."""
        plan = _plan(context)
        cycles = predict(OUTER_COSTS, context.core, work_of_outer(plan, context))
        return cycles + (predict(DENSE_COSTS, context.core, work_of_dense(plan, context)) if self.dense else 0)

    def lower(self, context: StepContext) -> LoweredStep:
        """See `Kernel`."""
        plan = _plan(context)
        bits, kernel = context.inputs[0].bits, plan.kernel
        symbol = f"{kernel.symbol}_x{bits}{'_dense' if self.dense else ''}"
        title = (
            f"products of codes of {bits} bits with weights of {kernel.weight_bits} bits, "
            f"{CHANNELS} channels x {kernel.pixels} pixels"
        )
        arguments = {
            "title": title,
            "symbol": symbol,
            "kernel": kernel,
            "fill": f"qmcu_packed_outer_fill_x{bits}_w{kernel.weight_bits}_{kernel.fields}",
            "expand": f"qmcu_packed_outer_expand_w{kernel.weight_bits}" if self.dense else "0",
            "registers": textwrap.wrap(describe_registers(kernel), 110),
            "lines": generate_outer_kernel(kernel),
        }
        templates = environment()
        fields = _fields(context, plan, at_once(plan, context, self.dense))
        stored = f"{kernel.weight_bits}-bit weights" if self.dense else "words of two weights"
        comment = f"blocks of 4 channels: start values, {stored}, biases, multipliers (packed_outer.h)"
        expand = ("packed_outer_expand.c",) if self.dense else ()
        return LoweredStep(
            calls=(Call(symbol, "qmcu_packed_outer_params", fields, (Input(), Output(), Scratch())),),
            constants=(Constant("weights", outer_weights(context, plan, self.dense), 4, comment),),
            headers=("packed_outer.h", f"{symbol}.h"),
            sources=("packed.c", "packed_outer.c", *expand, "packed_outer_portable.c", "packed_outer_tile.c"),
            generated={
                f"{symbol}.{suffix}": templates.get_template(f"packed_outer.{suffix}.j2").render(arguments)
                for suffix in ("h", "c")
            },
        )


@register
class PackedOuterDenseGenerated(PackedOuterGenerated):
    """The same with weights that take no more flash than their bits: they are expanded in scratch memory."""

    name = "packed_outer_dense_generated"
    dense = True


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


def _fields(context: StepContext, plan: OuterPlan, together: AtOnce) -> dict[str, FieldValue]:
    """Fields of qmcu_packed_outer_params."""
    step, value = convolution_of(context), context.inputs[0]
    _, input_height, input_width, _ = value.shape
    _, output_height, output_width, output_channels = context.output.shape
    q = step.requantize
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
        "blocks": plan.blocks(context),
        "block_words": plan.block_words,
        "parts": plan.parts,
        "part_inputs": plan.part_inputs,
        "groups_at_once": together.groups,
        "blocks_at_once": together.blocks,
        "zero_point": q.zero_point,
        "low": q.low,
        "high": q.high,
    }


def outer_weights(context: StepContext, plan: OuterPlan, dense: bool = False) -> NDArray[np.uint32]:
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
    pairs = (ordered[:, 0::2], ordered[:, 1::2])  # [block, word, part, input]
    words = _dense_words(*pairs, kernel.weight_bits) if dense else _wide_words(*pairs, kernel.weight_bits)
    ones = sum(1 << field * kernel.field_bits for field in range(kernel.fields))
    begin = blocks(starts) * ones  # [block, channel, part]
    begin[:, 0::2] <<= kernel.weight_bits
    stream = np.concatenate(
        [
            np.concatenate([begin.transpose(0, 2, 1), words], axis=2).reshape(len(ordered), -1),
            blocks(bias),
            blocks(np.pad(multiplier, missing)),
        ],
        axis=1,
    )
    return (stream.reshape(-1) & 0xFFFFFFFF).astype(np.uint32)


def _wide_words(lower: NDArray[np.int64], upper: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """[block, word, part, input] as words of two weights [block, part, input and word]."""
    moved = (lower + (upper << (32 - bits))).transpose(0, 2, 3, 1)
    return moved.reshape(*moved.shape[:2], -1)


def _dense_words(lower: NDArray[np.int64], upper: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """The same in 2 `bits` for each two weights."""
    mask = (1 << bits) - 1
    moved = ((upper & mask) | (lower & mask) << bits).transpose(0, 2, 3, 1)
    pairs = moved.reshape(*moved.shape[:2], -1, 16 // bits)
    return np.asarray((pairs << np.arange(0, 32, 2 * bits)).sum(axis=-1), np.int64)
