"""Every other operator on packed maps, by the kernels for bytes.

Movements that leave the channels of a pixel together move its packed bytes; the others compute on unpacked copies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from quantmcu.codegen.common import cycles_on
from quantmcu.codegen.kernel import (
    Argument,
    Call,
    Input,
    Kernel,
    LoweredStep,
    Output,
    Scratch,
    StepContext,
)
from quantmcu.codegen.packed import channels_of, is_packed, pixels_of
from quantmcu.codegen.registry import register, registered
from quantmcu.program import steps
from quantmcu.program.program import Value


def inner_kernel(context: StepContext) -> Kernel | None:
    """The fastest kernel for a step on bytes. (Those that unpack refuse maps without packed codes.)"""
    usable = [
        kernel
        for kernel in registered()
        if isinstance(context.step, kernel.step_type)
        and kernel.unsupported(context) is None
    ]
    return min(usable, key=lambda kernel: (kernel.cycles(context), kernel.order, kernel.name), default=None)


class OnUnpackedMaps(Kernel):
    """Unpacks the inputs into scratch memory, computes on bytes, packs the output: needs the memory of 8-bit maps."""

    order = 29

    def unsupported(self, context: StepContext) -> str | None:
        """Packed maps, where a kernel for bytes exists."""
        if not is_packed(context):
            return "packed maps only"
        return None if inner_kernel(unpacked(context)) else "no kernel for unpacked maps"

    def scratch_bytes(self, context: StepContext) -> int:
        """The unpacked maps, and the scratch memory of the kernel for bytes."""
        inner = unpacked(context)
        return _places(context)[-1] + _kernel(inner).scratch_bytes(inner)

    def cycles(self, context: StepContext) -> float:
        """Of the kernel for bytes, and to unpack or pack codes: pixels of whole bytes by words."""
        inner = unpacked(context)
        maps = [value for value in (*context.inputs, context.output) if value.bits < 8]
        in_words = sum(value.elements for value in maps if channels_of(value) * value.bits % 8 == 0)
        singly = sum(value.elements for value in maps) - in_words
        return _kernel(inner).cycles(inner) + cycles_on(
            context.core, m4=2 * in_words + 8 * singly, m7=1.4 * in_words + 6 * singly
        )

    def lower(self, context: StepContext) -> LoweredStep:
        """Unpacking, the calls on bytes, packing."""
        inner = unpacked(context)
        lowered = _kernel(inner).lower(inner)
        *inputs, output, scratch = _places(context)

        def moved(argument: Argument) -> Argument:
            match argument:
                case Input(index, offset) if context.inputs[index].bits < 8:
                    return Scratch(inputs[index] + offset)
                case Output(offset) if context.output.bits < 8:
                    return Scratch(output + offset)
                case Scratch(offset):
                    return Scratch(scratch + offset)
            return argument

        calls = [
            _map_call("qmcu_unpack_map", value, Input(index), Scratch(inputs[index]))
            for index, value in enumerate(context.inputs)
            if value.bits < 8
        ]
        calls += [replace(call, arguments=tuple(map(moved, call.arguments))) for call in lowered.calls]
        if context.output.bits < 8:
            calls.append(_map_call("qmcu_pack_map", context.output, Scratch(output), Output()))
        headers, sources = (*lowered.headers, "packed.h"), (*lowered.sources, "packed.c")
        return replace(lowered, calls=tuple(calls), headers=headers, sources=sources)


def _map_call(function: str, value: Value, source: Argument, target: Argument) -> Call:
    return Call(function, "", {}, (source, target, pixels_of(value), channels_of(value), value.bits))


def _kernel(context: StepContext) -> Kernel:
    kernel = inner_kernel(context)
    assert kernel is not None
    return kernel


def unpacked(context: StepContext) -> StepContext:
    """The same step on one byte a code."""

    def wide(value: Value) -> Value:
        return replace(value, bits=8) if value.bits < 8 else value

    return replace(context, inputs=tuple(map(wide, context.inputs)), output=wide(context.output))


def _places(context: StepContext) -> list[int]:
    """Offsets in scratch memory of the unpacked inputs, of the unpacked output, and of the inner scratch memory."""
    places = [0]
    for value in (*context.inputs, context.output):
        size = value.elements if value.bits < 8 else 0
        places.append(places[-1] + (size + 7) // 8 * 8)
    return places


class OnRowsOfBytes(Kernel):
    """Moves packed pixels as whole bytes: for movements that leave the channels of each pixel together."""

    order = 17

    def unsupported(self, context: StepContext) -> str | None:
        """Packed maps of one number of bits whose pixels stay whole."""
        if len({value.bits for value in (*context.inputs, context.output)}) != 1 or not is_packed(context):
            return "packed maps of equal bits only"
        moved = _as_rows(context)
        if moved is None:
            return "the channels of a pixel don't stay together"
        return None if inner_kernel(moved) else "no kernel for bytes"

    def scratch_bytes(self, context: StepContext) -> int:
        """Of the kernel for bytes."""
        return _kernel(_rows(context)).scratch_bytes(_rows(context))

    def in_place_inputs(self, context: StepContext) -> tuple[int, ...]:
        """As the kernel for bytes."""
        return _kernel(_rows(context)).in_place_inputs(_rows(context))

    def cycles(self, context: StepContext) -> float:
        """Of the kernel for bytes."""
        return _kernel(_rows(context)).cycles(_rows(context))

    def lower(self, context: StepContext) -> LoweredStep:
        """The calls on bytes."""
        return _kernel(_rows(context)).lower(_rows(context))


def _rows(context: StepContext) -> StepContext:
    moved = _as_rows(context)
    assert moved is not None
    return moved


def _as_rows(context: StepContext) -> StepContext | None:
    """The step on maps whose channels are the bytes of the packed pixels; None where it can't be said so."""
    translate = _ROWS[type(context.step)]
    if not context.output.shape or not all(value.shape for value in context.inputs):
        return None
    step = translate(context)
    if step is None:
        return None

    def as_bytes(value: Value) -> Value:
        return replace(value, shape=(*value.shape[:-1], value.row_bytes), bits=8)

    return replace(
        context, step=step, inputs=tuple(map(as_bytes, context.inputs)), output=as_bytes(context.output)
    )


def _slice(context: StepContext) -> steps.Step | None:
    step, value = context.step, context.inputs[0]
    assert isinstance(step, steps.Slice)
    if (step.starts[-1], step.steps[-1]) != (0, 1) or step.ends[-1] != value.shape[-1]:
        return None
    return replace(step, ends=(*step.ends[:-1], value.row_bytes))


def _pad(context: StepContext) -> steps.Step | None:
    step, bits = context.step, context.output.bits
    assert isinstance(step, steps.Pad)
    if step.before[-1] or step.after[-1] or channels_of(context.output) * bits % 8:
        return None
    return replace(step, value=sum(step.value << shift for shift in range(0, 8, bits)))


def _gather(context: StepContext) -> steps.Step | None:
    return context.step


def _transpose(context: StepContext) -> steps.Step | None:
    step = context.step
    assert isinstance(step, steps.Transpose)
    return step if step.permutation[-1] == len(step.permutation) - 1 else None


def _reshape(context: StepContext) -> steps.Step | None:
    return context.step if channels_of(context.inputs[0]) == channels_of(context.output) else None


def _concatenate(context: StepContext) -> steps.Step | None:
    step = context.step
    assert isinstance(step, steps.Concatenate)
    whole = all(channels_of(value) * value.bits % 8 == 0 for value in context.inputs)
    along_channels = step.axis % len(context.output.shape) == len(context.output.shape) - 1
    if any(form is not None for form in step.forms) or (along_channels and not whole):
        return None
    return step


_ROWS: dict[type[steps.Step], Callable[[StepContext], steps.Step | None]] = {
    steps.Slice: _slice,
    steps.Pad: _pad,
    steps.GatherRowsColumns: _gather,
    steps.Transpose: _transpose,
    steps.Reshape: _reshape,
    steps.Concatenate: _concatenate,
}

_UNPACKED = {
    "linear": steps.Linear,
    "multiply": steps.Multiply,
    "prelu": steps.PRelu,
    "max_pool": steps.MaxPool,
    "concatenate": steps.Concatenate,
    "slice": steps.Slice,
    "pad": steps.Pad,
    "gather": steps.GatherRowsColumns,
    "resize_linear": steps.ResizeLinear,
    "reshape": steps.Reshape,
    "transpose": steps.Transpose,
    "softmax": steps.Softmax,
    "argmax": steps.ArgMax,
}

for _name, _type in _UNPACKED.items():
    register(type(f"Unpacked{_type.__name__}", (OnUnpackedMaps,), {"name": f"{_name}_unpacked", "step_type": _type}))
    if _type in _ROWS:
        register(type(f"Packed{_type.__name__}", (OnRowsOfBytes,), {"name": f"{_name}_packed", "step_type": _type}))
