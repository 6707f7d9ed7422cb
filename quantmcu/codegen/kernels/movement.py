"""Operators that move codes: Concatenate, Slice, Pad, Reshape, Transpose, GatherRowsColumns, ResizeLinear."""

from __future__ import annotations

import math
from abc import abstractmethod

from quantmcu.codegen.boxes import MAX_RANK, Box, collapsed, strides_of
from quantmcu.codegen.common import cycles_on, linear_fields, only_whole_bytes
from quantmcu.codegen.kernel import (
    Call,
    Constant,
    FieldValue,
    Input,
    Kernel,
    LoweredStep,
    Output,
    Reference,
    StepContext,
    only_8_bit_maps,
)
from quantmcu.codegen.registry import register
from quantmcu.program.fixed_point import LinearForm
from quantmcu.program.program import Value
from quantmcu.program.steps import Concatenate, GatherRowsColumns, Pad, Reshape, ResizeLinear, Slice, Transpose

_HEADERS = ("movement.h", "strided.h")
_SOURCES = ("movement.c",)


def byte_strides(value: Value) -> tuple[int, ...]:
    """Strides in bytes of a dense array of whole bytes, with one more axis for the bytes of an element."""
    element = value.bits // 8
    return (*strides_of(value.shape, element), 1)


def copy_call(
    shape: tuple[int, ...], source: tuple[int, ...], target: tuple[int, ...], input_: Input, output: Output
) -> Call:
    """Copies a box of bytes; the strides are in bytes."""
    box = collapsed(shape, source, target)
    element = 1
    if all(strides[-1] == 1 for strides in box.strides):
        element = box.counts[-1]
        box = Box(box.counts[:-1], tuple(strides[:-1] for strides in box.strides))
    if box.rank == 0:
        return Call("qmcu_copy", "", {}, (input_, output, element))
    if box.rank > MAX_RANK:
        raise ValueError(f"a box of {box.rank} axes, at most {MAX_RANK}")
    fields: dict[str, FieldValue] = {
        "rank": box.rank,
        "counts": box.padded_counts(),
        "input_strides": box.padded_strides(0),
        "output_strides": box.padded_strides(1),
        "element_bytes": element,
    }
    return Call("qmcu_copy_box", "qmcu_copy_box_params", fields, (input_, output))


def _call_cycles(call: Call) -> tuple[float, float]:
    """Cycles of a call on Cortex-M4 and Cortex-M7."""
    if call.function in ("qmcu_copy", "qmcu_fill"):
        count = call.arguments[-1]
        assert isinstance(count, int)
        return (0.9 * count + 82, 0.45 * count + 30) if call.function == "qmcu_copy" else (1.3 * count, 0.57 * count)
    counts = call.fields["counts"]
    assert isinstance(counts, tuple)
    pieces = math.prod(count for count in counts if count)
    if call.function == "qmcu_linear":
        return 29.0 * pieces, 12.0 * pieces
    size = call.fields["element_bytes"]
    assert isinstance(size, int)
    return (17.0 * pieces, 7.2 * pieces) if size == 1 else ((0.9 * size + 82) * pieces, (0.45 * size + 30) * pieces)


class _Movement(Kernel):
    """Common part of the kernels that copy boxes."""

    order = 9

    def unsupported(self, context: StepContext) -> str | None:
        """Whole bytes."""
        return only_whole_bytes(context)

    def in_place_inputs(self, context: StepContext) -> tuple[int, ...]:
        """Where nothing moves."""
        calls = self.calls(context)
        stays = len(calls) == 1 and calls[0].function == "qmcu_copy" and calls[0].arguments[:2] == (Input(), Output())
        return (0,) if stays else ()

    def cycles(self, context: StepContext) -> float:
        """Fitted on emulator measurements of GCC -O2."""
        costs = [_call_cycles(call) for call in self.calls(context)]
        return cycles_on(context.core, m4=sum(m4 for m4, _ in costs), m7=sum(m7 for _, m7 in costs))

    def lower(self, context: StepContext) -> LoweredStep:
        """The calls."""
        return LoweredStep(self.calls(context), headers=_HEADERS, sources=_SOURCES)

    @abstractmethod
    def calls(self, context: StepContext) -> tuple[Call, ...]:
        """The calls that move the codes."""


@register
class ConcatenatePortable(_Movement):
    """Each input into its box of the output, in the output's scale."""

    name = "concatenate_portable"
    step_type = Concatenate

    def lower(self, context: StepContext) -> LoweredStep:
        """One call an input."""
        calls = self.calls(context)
        if any(call.function == "qmcu_linear" for call in calls):
            headers = (*_HEADERS, "linear.h", "requantize.h", "dsp.h")
            return LoweredStep(calls, headers=headers, sources=(*_SOURCES, "linear.c"))
        return LoweredStep(calls, headers=_HEADERS, sources=_SOURCES)

    def calls(self, context: StepContext) -> tuple[Call, ...]:
        """A copy, or a change of scale."""
        step = context.step
        assert isinstance(step, Concatenate)
        axis = step.axis % len(context.output.shape)
        target = byte_strides(context.output)
        calls, position = [], 0
        for index, (value, form) in enumerate(zip(context.inputs, step.forms, strict=True)):
            shape = (*value.shape, value.bits // 8)
            output = Output(position * target[axis])
            if form is None:
                calls.append(copy_call(shape, byte_strides(value), target, Input(index), output))
            else:
                calls.append(
                    _change_of_scale(form, collapsed(shape, byte_strides(value), target), Input(index), output)
                )
            position += value.shape[axis]
        return tuple(calls)


def _change_of_scale(form: LinearForm, box: Box, input_: Input, output: Output) -> Call:
    fields: dict[str, FieldValue] = {
        "rank": box.rank,
        "counts": box.padded_counts(),
        "a_strides": box.padded_strides(0),
        "b_strides": (0,) * MAX_RANK,
        "output_strides": box.padded_strides(1),
        **linear_fields(form),
    }
    return Call("qmcu_linear", "qmcu_linear_params", fields, (input_, output))


@register
class SlicePortable(_Movement):
    """A box of the input."""

    name = "slice_portable"
    step_type = Slice

    def calls(self, context: StepContext) -> tuple[Call, ...]:
        """One copy."""
        step = context.step
        assert isinstance(step, Slice)
        source = byte_strides(context.inputs[0])
        start = sum(first * stride for first, stride in zip(step.starts, source, strict=False))
        strides = tuple(stride * every for stride, every in zip(source, (*step.steps, 1), strict=True))
        shape = (*context.output.shape, context.output.bits // 8)
        return (copy_call(shape, strides, byte_strides(context.output), Input(0, start), Output()),)


@register
class PadPortable(_Movement):
    """Fills the output, then copies the input into its middle."""

    name = "pad_portable"
    step_type = Pad

    def unsupported(self, context: StepContext) -> str | None:
        """8 bits: the padding is written byte by byte."""
        return only_8_bit_maps(context)

    def calls(self, context: StepContext) -> tuple[Call, ...]:
        """A fill and a copy."""
        step = context.step
        assert isinstance(step, Pad)
        target = byte_strides(context.output)
        start = sum(before * stride for before, stride in zip(step.before, target, strict=False))
        value = context.inputs[0]
        return (
            Call("qmcu_fill", "", {}, (Output(), step.value, context.output.nbytes)),
            copy_call((*value.shape, 1), byte_strides(value), target, Input(), Output(start)),
        )


@register
class TransposePortable(_Movement):
    """Permuted axes."""

    name = "transpose_portable"
    step_type = Transpose

    def calls(self, context: StepContext) -> tuple[Call, ...]:
        """One copy."""
        step = context.step
        assert isinstance(step, Transpose)
        source = byte_strides(context.inputs[0])
        strides = (*(source[axis] for axis in step.permutation), 1)
        shape = (*context.output.shape, context.output.bits // 8)
        return (copy_call(shape, strides, byte_strides(context.output), Input(), Output()),)


@register
class ReshapeCopy(_Movement):
    """Nothing to do where the planner lets the output take over the input's memory, else a copy."""

    name = "reshape"
    step_type = Reshape

    def unsupported(self, context: StepContext) -> str | None:
        """The same bytes: packed codes only where each pixel keeps its length."""
        same = context.inputs[0].row_bytes == context.output.row_bytes or only_whole_bytes(context) is None
        return None if same else "packed codes whose rows change length"

    def calls(self, context: StepContext) -> tuple[Call, ...]:
        """One copy."""
        return (Call("qmcu_copy", "", {}, (Input(), Output(), context.output.nbytes)),)


@register
class GatherPortable(Kernel):
    """Rows and columns by index."""

    name = "gather_portable"
    step_type = GatherRowsColumns
    order = 9

    def unsupported(self, context: StepContext) -> str | None:
        """Pixels of whole bytes, which all are."""
        return None if context.inputs[0].bits == context.output.bits else "input and output of different bits"

    def cycles(self, context: StepContext) -> float:
        """Fitted on emulator measurements of GCC -O2."""
        moved, pixels = context.output.nbytes, context.output.elements // context.output.shape[-1]
        return cycles_on(context.core, m4=0.9 * moved + 81 * pixels, m7=0.45 * moved + 30 * pixels)

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        step = context.step
        assert isinstance(step, GatherRowsColumns)
        value = context.inputs[0]
        fields: dict[str, FieldValue] = {
            "output_height": context.output.shape[1],
            "output_width": context.output.shape[2],
            "row_bytes": value.shape[2] * value.row_bytes,
            "pixel_bytes": value.row_bytes,
            "rows": Reference("rows"),
            "columns": Reference("columns"),
        }
        return LoweredStep(
            (Call("qmcu_gather", "qmcu_gather_params", fields, (Input(), Output())),),
            (Constant("rows", step.rows), Constant("columns", step.columns)),
            headers=_HEADERS,
            sources=_SOURCES,
        )


@register
class ResizeLinearPortable(Kernel):
    """Bilinear interpolation."""

    name = "resize_linear_portable"
    step_type = ResizeLinear
    order = 9

    def cycles(self, context: StepContext) -> float:
        """Fitted on emulator measurements of GCC -O2."""
        elements, pixels = context.output.elements, context.output.elements // context.output.shape[-1]
        return cycles_on(context.core, m4=29 * elements + 50 * pixels, m7=17.5 * elements + 35 * pixels)

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        step = context.step
        assert isinstance(step, ResizeLinear)
        _, _, input_width, channels = context.inputs[0].shape
        tables = ("low_rows", "high_rows", "row_fractions", "low_columns", "high_columns", "column_fractions")
        fields: dict[str, FieldValue] = {
            "input_width": input_width,
            "channels": channels,
            "output_height": context.output.shape[1],
            "output_width": context.output.shape[2],
            **{table: Reference(table) for table in tables},
        }
        return LoweredStep(
            (Call("qmcu_resize_linear", "qmcu_resize_linear_params", fields, (Input(), Output())),),
            tuple(Constant(table, getattr(step, table)) for table in tables),
            headers=("resize_linear.h",),
            sources=("resize_linear.c",),
        )
