"""Convolutions without groups and weights of 4 or 2 bits by packed multiplication, generated for shape and core."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from functools import cache
from typing import ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from quantmcu.codegen.assembly.outer import CHANNELS, OuterKernel, describe_registers, generate_outer_kernel
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
    Words,
)
from quantmcu.codegen.kernels.convolution import convolution_of, window_fields
from quantmcu.codegen.kernels.matmul_cost import predict
from quantmcu.codegen.kernels.outer_cost import DENSE_COSTS, OUTER_COSTS, work_of_dense, work_of_outer
from quantmcu.codegen.kernels.outer_plan import (
    AtOnce,
    OuterPlan,
    at_once,
    fields_to_try,
    outer_plans,
    tile_rows,
)
from quantmcu.codegen.registry import register
from quantmcu.codegen.templates import environment
from quantmcu.program.steps import Convolution, Step

_PLANS: WeakKeyDictionary[Step, dict[tuple[object, ...], OuterPlan | str]] = WeakKeyDictionary()
_ORDER = [0, 2, 1, 3]  # of the channels of a block


@register
class PackedOuterGenerated(Kernel):
    """Blocks of 4 channels x 4 or 6 pixels in assembly: each SMLAL multiplies two weights with two or three codes."""

    name: ClassVar[str] = "packed_outer_generated"
    step_type = Convolution
    order = 16
    dense_scratch: ClassVar[int | None] = None
    """Bytes for tiles and expanded weights; None: weights are wide."""

    def unsupported(self, context: StepContext) -> str | None:
        """See `Kernel`."""
        plan = best_outer_plan(context)
        return plan if isinstance(plan, str) else None

    def scratch_bytes(self, context: StepContext) -> int:
        """See `Kernel` and packed_outer.h."""
        plan = _plan(context)
        together = at_once(plan, context, self.dense_scratch)
        value, pixels = context.inputs[0], plan.kernel.pixels
        expanded = 0 if self.dense_scratch is None else 4 * plan.block_words * together.blocks
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
        if self.dense_scratch is None:
            return cycles
        return cycles + predict(DENSE_COSTS, context.core, work_of_dense(plan, context, self.dense_scratch))

    def lower(self, context: StepContext) -> LoweredStep:
        """See `Kernel`."""
        plan = _plan(context)
        bits, kernel, dense = context.inputs[0].bits, plan.kernel, self.dense_scratch is not None
        symbol = _symbol(kernel, bits, dense)
        fields = _fields(context, plan, at_once(plan, context, self.dense_scratch))
        stored = f"{kernel.weight_bits}-bit weights" if dense else "words of two weights"
        comment = f"blocks of 4 channels: start values, {stored}, biases, multipliers (packed_outer.h)"
        expand = ("packed_outer_expand.c",) if dense else ()
        return LoweredStep(
            calls=(Call(symbol, "qmcu_packed_outer_params", fields, (Input(), Output(), Scratch())),),
            constants=(Constant("weights", outer_weights(context, plan, dense), 4, comment),),
            headers=("packed_outer.h", f"{symbol}.h"),
            sources=("packed.c", "packed_outer.c", *expand, "packed_outer_portable.c", "packed_outer_tile.c"),
            generated=_generated_files(kernel, bits, dense),
        )


@register
class PackedOuterDenseGenerated(PackedOuterGenerated):
    """The same with weights that take no more flash than their bits: they are expanded in scratch memory."""

    name = "packed_outer_dense_generated"
    dense_scratch = 8 * 1024


@register
class PackedOuterDenseLargeGenerated(PackedOuterDenseGenerated):
    """The same with so much scratch memory that most weights are expanded once or twice."""

    name = "packed_outer_dense_large_generated"
    dense_scratch = 96 * 1024

    def unsupported(self, context: StepContext) -> str | None:
        """Only where the scratch memory serves for something."""
        plan, smaller = best_outer_plan(context), PackedOuterDenseGenerated.dense_scratch
        if isinstance(plan, str):
            return plan
        if at_once(plan, context, self.dense_scratch) == at_once(plan, context, smaller):
            return "the scratch memory of packed_outer_dense_generated suffices"
        return None


def best_outer_plan(context: StepContext) -> OuterPlan | str:
    """The division with the fewest predicted cycles, or why there is none."""
    values = (context.inputs[0], context.output)
    key = (*((value.shape, value.bits) for value in values), context.core)
    known = _PLANS.setdefault(context.step, {})
    if key not in known:
        tried = [outer_plans(context, fields) for fields in fields_to_try(context)]
        plans = [plan for found in tried if not isinstance(found, str) for plan in found]

        def cycles(plan: OuterPlan) -> float:
            return predict(OUTER_COSTS, context.core, work_of_outer(plan, context))

        known[key] = min(plans, key=cycles) if plans else str(tried[0])
    return known[key]


def _plan(context: StepContext) -> OuterPlan:
    plan = best_outer_plan(context)
    if isinstance(plan, str):
        raise ValueError(f"{context.step.name}: {plan}")
    return plan


def _symbol(kernel: OuterKernel, bits: int, dense: bool) -> str:
    return f"{kernel.symbol}_x{bits}{'_dense' if dense else ''}"


@cache
def _generated_files(kernel: OuterKernel, bits: int, dense: bool) -> Mapping[str, str]:
    symbol = _symbol(kernel, bits, dense)
    title = (
        f"products of codes of {bits} bits with weights of {kernel.weight_bits} bits, "
        f"{CHANNELS} channels x {kernel.pixels} pixels"
    )
    arguments = {
        "title": title,
        "symbol": symbol,
        "kernel": kernel,
        "fill": f"qmcu_packed_outer_fill_x{bits}_w{kernel.weight_bits}_{kernel.fields}",
        "expand": f"qmcu_packed_outer_expand_w{kernel.weight_bits}" if dense else "0",
        "registers": textwrap.wrap(describe_registers(kernel), 110),
        "lines": generate_outer_kernel(kernel),
    }
    return {
        f"{symbol}.{suffix}": environment().get_template(f"packed_outer.{suffix}.j2").render(arguments)
        for suffix in ("h", "c")
    }


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
        "weight_words": plan.weight_words,
        "inputs": plan.inputs,
        "groups_at_once": together.groups,
        "blocks_at_once": together.blocks,
        "zero_point": q.zero_point,
        "low": q.low,
        "high": q.high,
    }


def outer_weights(context: StepContext, plan: OuterPlan, dense: bool = False) -> Words:
    """The stream of blocks (packed_outer.h); of dense weights, a word has as many as fit."""
    count = plan.dense_weight_words if dense else plan.weight_words
    return Words(count, lambda: _weight_words(context, plan, dense))


def _weight_words(context: StepContext, plan: OuterPlan, dense: bool) -> NDArray[np.uint32]:
    step, kernel = convolution_of(context), plan.kernel
    missing = (0, -len(step.bias) % CHANNELS)
    multiplier = np.broadcast_to(step.requantize.multiplier, step.bias.shape).astype(np.int64)
    bias = np.pad(step.bias.astype(np.int64), missing).reshape(-1, CHANNELS)
    multipliers = np.pad(multiplier, missing).reshape(-1, CHANNELS)
    ones = sum(1 << field * kernel.field_bits for field in range(kernel.fields))
    stream: list[NDArray[np.int64]] = []
    for block, rows in enumerate(tile_rows(context, plan.inputs)):
        ordered, first = rows[_ORDER, :], 0
        constants = bias[block, _ORDER] << kernel.shift
        for size in plan.parts[block]:
            part = ordered[:, first : first + size]
            starts = -np.minimum(part, 0).sum(axis=1) * context.inputs[0].highest_code
            constants -= starts << kernel.shift
            begin = starts * ones
            begin[0::2] <<= kernel.weight_bits
            words = (_dense_words if dense else _wide_words)(part[0::2], part[1::2], kernel.weight_bits)
            stream += [np.array([8 * size]), begin, words]
            first += size
        stream += [constants, multipliers[block, _ORDER]]
    return (np.concatenate(stream) & 0xFFFFFFFF).astype(np.uint32)


def _wide_words(lower: NDArray[np.int64], upper: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """[word, input] as words of two weights, by input."""
    return (lower + (upper << (32 - bits))).T.reshape(-1)


def _dense_words(lower: NDArray[np.int64], upper: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """The same in 2 `bits` for each two weights (packed_outer_expand.c)."""
    middle, mask = 1 << (bits - 1), (1 << bits) - 1
    pairs = ((lower + middle) | (upper & mask) << (32 - bits)).T.reshape(-1, 16 // bits)
    left = np.arange(0, 32, 2 * bits)
    return np.asarray((pairs << left | pairs >> (32 - left)).sum(axis=-1), np.int64)
