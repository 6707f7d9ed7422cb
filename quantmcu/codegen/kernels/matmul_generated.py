"""Convolutions without groups and dense layers by kernels in assembly that are generated for the shape and the core."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from functools import cache
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from quantmcu.codegen.assembly import BlockKernel, Scheme, describe_registers, generate_block_kernel
from quantmcu.codegen.kernel import Call, Constant, Input, Kernel, LoweredStep, Output, Scratch, StepContext, Words
from quantmcu.codegen.kernels.matmul_cost import GENERATED_COSTS, predict, work_of_plan
from quantmcu.codegen.kernels.matmul_layout import (
    as_words,
    block_starts,
    convolution_of,
    matmul_fields,
    unsupported_by_drivers,
    weight_groups,
    weight_stream,
)
from quantmcu.codegen.kernels.matmul_plan import (
    NIBBLE_FACTOR,
    Plan,
    blocks_to_try,
    plan_blocks,
    scaled_multipliers,
    schemes_to_try,
)
from quantmcu.codegen.registry import register
from quantmcu.codegen.templates import environment
from quantmcu.program.steps import Convolution, Step

_LEAST_GAIN = 1.02
_PLANS: WeakKeyDictionary[Step, dict[tuple[object, ...], Plan | str]] = WeakKeyDictionary()
_STREAMS = {
    Scheme.HALF: "int16 of two weights each (half-extension)",
    Scheme.RESTORED: "int16 of two weights each (half-extension), least sums",
    Scheme.PLAIN: "int8 weights",
    Scheme.WIDE: "int16 weights",
    Scheme.NIBBLE: "bytes of two 4-bit weights of one channel, two channels a word",
}
_WIDENINGS = {Scheme.HALF: "half", Scheme.NIBBLE: "nibble"}


@register
class MatmulGenerated(Kernel):
    """Blocks of channels x pixels in assembly, unrolled for the shape, ordered for the core."""

    name = "matmul_generated"
    step_type = Convolution

    def unsupported(self, context: StepContext) -> str | None:
        """See `Kernel`."""
        if not context.core.has_dsp:
            return "cores with DSP instructions only"
        problem = unsupported_by_drivers(context, (8, 4))
        if problem is not None:
            return problem
        plan = best_plan(context)
        return plan if isinstance(plan, str) else None

    def scratch_bytes(self, context: StepContext) -> int:
        """See `Kernel`."""
        plan = _plan(context)
        return plan.tile_bytes + plan.correction_bytes

    def in_place_inputs(self, context: StepContext) -> tuple[int, ...]:
        """See `Kernel`."""
        plan = _plan(context)
        return (0,) if plan.geometry.in_place_order(plan.layout.interleave) else ()

    def cycles(self, context: StepContext) -> float:
        """See `Kernel`."""
        return predict(GENERATED_COSTS, context.core, work_of_plan(_plan(context)))

    def lower(self, context: StepContext) -> LoweredStep:
        """See `Kernel`."""
        step = context.step
        assert isinstance(step, Convolution)
        plan = _plan(context)
        symbol = _layer_symbol(plan.whole, plan.rest, plan.geometry.pixelwise)
        fields = matmul_fields(step, plan.geometry, plan.layout, plan.tile_bytes // 4)
        fields["shift"] = 0
        comment = f"blocks of {plan.whole.channels} channels: biases, {_STREAMS[plan.scheme]}, multipliers (matmul.h)"
        return LoweredStep(
            calls=(Call(symbol, "qmcu_matmul_params", fields, (Input(), Output(), Scratch())),),
            constants=(Constant("weights", weights_of(context, plan), 4, comment),),
            headers=("matmul.h", f"{symbol}.h"),
            sources=("matmul_drivers.c", "matmul_portable.c", "matmul_tile.c", "matmul_correct.c"),
            generated=_generated_files(plan.whole, plan.rest, plan.geometry.pixelwise),
        )


def best_plan(context: StepContext) -> Plan | str:
    """The division into blocks with the fewest predicted cycles, or why there is none."""
    shapes = (context.inputs[0].shape, context.output.shape, context.core)
    known = _PLANS.setdefault(context.step, {})
    if shapes not in known:
        schemes = schemes_to_try(context)
        if not schemes:
            return "weights that fit int16 with the left shift only"
        tried = [plan_blocks(context, scheme, *block) for scheme in schemes for block in blocks_to_try(context)]
        plans = [plan for plan in tried if isinstance(plan, Plan)]
        known[shapes] = min(plans, key=lambda plan: _merit(plan, context, plans[0])) if plans else tried[0]
    return known[shapes]


def _merit(plan: Plan, context: StepContext, simplest: Plan) -> float:
    """Predicted cycles; more code than the simplest plan's must save some."""
    cycles = predict(GENERATED_COSTS, context.core, work_of_plan(plan))
    return cycles if plan is simplest else cycles * _LEAST_GAIN


def _plan(context: StepContext) -> Plan:
    plan = best_plan(context)
    if isinstance(plan, str):
        raise ValueError(f"{context.step.name}: {plan}")
    return plan


def _layer_symbol(whole: BlockKernel, rest: BlockKernel, pixelwise: bool) -> str:
    driver = "pixels" if pixelwise else "rows"
    last = "" if rest == whole else f"_{rest.pixels}"
    return f"{whole.symbol.replace('qmcu_matmul_', f'qmcu_{driver}_')}{last}"


@cache
def _generated_files(whole: BlockKernel, rest: BlockKernel, pixelwise: bool) -> Mapping[str, str]:
    templates = environment()
    symbol = _layer_symbol(whole, rest, pixelwise)
    kernels = sorted({whole, rest}, key=lambda kernel: kernel.symbol)
    pixels = " and ".join(str(kernel.pixels) for kernel in sorted(kernels, key=lambda kernel: -kernel.pixels))
    arguments = {
        "title": f"convolutions by blocks of {whole.channels} channels x {pixels} pixels",
        "symbol": symbol,
        "header": f"{symbol}.h",
        "kernels": kernels,
        "whole": whole,
        "rest": rest,
        "driver": "pixels" if pixelwise else "rows",
        "widening": "half" if whole.is_half else _WIDENINGS.get(whole.scheme, "plain"),
    }
    files = {
        f"{symbol}.h": templates.get_template("matmul_layer.h.j2").render(arguments),
        f"{symbol}.c": templates.get_template("matmul_layer.c.j2").render(arguments),
    }
    return files | {f"{kernel.symbol}.c": _block_text(kernel) for kernel in kernels}


@cache
def _block_text(kernel: BlockKernel) -> str:
    core = "Cortex-M7" if kernel.dual_issue else "Cortex-M4"
    title = (
        f"{kernel.channels} channels x {kernel.pixels} pixels, {4 * kernel.groups} inputs a piece or part, for {core}"
    )
    return (
        environment()
        .get_template("matmul_block.c.j2")
        .render(
            kernel=kernel,
            title=title,
            registers=textwrap.wrap(describe_registers(kernel), 110),
            pixel_words=[offset // 4 for offset in kernel.pixel_offsets],
            lines=generate_block_kernel(kernel),
        )
    )


def weights_of(context: StepContext, plan: Plan) -> Words:
    """The stream of blocks (matmul.h)."""
    step, block = convolution_of(context), plan.whole.channels
    count = len(block_starts(len(step.weight), block)) * plan.layout.block_words + block
    return Words(count, lambda: _weight_words(step, plan, context.inputs[0].highest_code))


def _weight_words(step: Convolution, plan: Plan, highest_code: int) -> NDArray[np.uint32]:
    """The stream, with biases and multipliers made for the scheme."""
    shift = step.requantize.shift
    groups = _groups(step.weight, plan)
    multiplier = np.broadcast_to(step.requantize.multiplier, step.bias.shape).astype(np.int64)
    bias = step.bias.astype(np.int64)
    parameters = [multiplier]
    if plan.whole.is_half:
        words = _half_words(groups)
        even, odd = groups[:, :, 0::2].sum(axis=(1, 2)), groups[:, :, 1::2].sum(axis=(1, 2))
        if plan.scheme is Scheme.RESTORED:
            # Sums from 0 on fit 32 bits without sign; on the way there they wrap around.
            least, _ = step.accumulator_bounds(highest_code)
            bias, parameters = bias - least, [least, multiplier]
        else:
            parameters = [(multiplier << shift) >> 8]
        bias = 256 * bias + 65280 * odd + 32767 * even
        bias = (bias + 2**31) % 2**32 - 2**31
    elif plan.scheme is Scheme.PLAIN:
        words = np.ascontiguousarray(groups.astype(np.int8)).view(np.uint32)
    elif plan.scheme is Scheme.NIBBLE:
        return _nibble_stream(step, plan, groups)
    else:
        words = _lanes(groups[:, :, (0, 1)] << shift, groups[:, :, (2, 3)] << shift)
        bias <<= shift
    return _padded(weight_stream(words, bias, parameters, plan.whole.channels), plan)


def _padded(stream: NDArray[np.uint32], plan: Plan) -> NDArray[np.uint32]:
    """The next block's biases are read ahead."""
    return np.concatenate([stream, np.zeros(plan.whole.channels, np.uint32)])


def _nibble_stream(step: Convolution, plan: Plan, groups: NDArray[np.int64]) -> NDArray[np.uint32]:
    """The stream of 4-bit weights, their offset where a code meets them, and of biases, 16 times too large."""
    block = plan.whole.channels
    scaled = scaled_multipliers(step, NIBBLE_FACTOR)
    multiplier = as_words(
        np.broadcast_to(step.requantize.multiplier if scaled is None else scaled, step.bias.shape)
    )
    bias = as_words((step.bias.astype(np.int64) * NIBBLE_FACTOR).astype(np.int32))  # sums wrap around
    offset = groups + 8 * _groups(np.ones_like(step.weight), plan)
    pairs = offset[:, :, 0::2] + 16 * offset[:, :, 1::2]
    parts = []
    for start in block_starts(len(pairs), block):
        mine = np.pad(pairs[start : start + block], ((0, -block % 2), (0, 0), (0, 0)))
        even, odd = mine[0::2], mine[1::2]
        words = even[:, :, 0] | odd[:, :, 0] << 8 | even[:, :, 1] << 16 | odd[:, :, 1] << 24
        parts += [bias[start : start + block], words.T.astype(np.uint32), multiplier[start : start + block]]
    return _padded(np.concatenate([part.reshape(-1) for part in parts]), plan)


def _groups(weight: NDArray[np.int8], plan: Plan) -> NDArray[np.int64]:
    """Weights [channels, groups, 4] in the order of the tile; 0 where groups are not full."""
    geometry = plan.geometry
    if plan.layout.phases:
        rows = weight.reshape(len(weight), geometry.kernel[0], -1)
        runs = np.pad(rows, ((0, 0), (0, 0), (0, -rows.shape[2] % 4)))
    else:
        runs = weight_groups(weight).reshape(len(weight), geometry.run_count, -1)
    padded = np.pad(runs, ((0, 0), (0, 0), (0, 4 * plan.run_groups - runs.shape[2])))
    return padded.reshape(len(weight), -1, 4).astype(np.int64)


def _half_words(groups: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Words { -(256 w1 + w0), -(256 w3 + w2) } of groups [channels, groups, 4]: [channels, groups, 1]."""
    pairs = -(256 * groups[:, :, 1::2] + groups[:, :, 0::2])
    return _lanes(pairs[:, :, 0:1], pairs[:, :, 1:2])


def _lanes(low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.uint32]:
    return ((low & 0xFFFF) | (high & 0xFFFF) << 16).astype(np.uint32)
