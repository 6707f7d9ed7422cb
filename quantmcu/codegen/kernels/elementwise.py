"""Element-wise operators in plain C: Linear, Multiply, Lookup, PRelu."""

from __future__ import annotations

from quantmcu.codegen.boxes import MAX_RANK, Box, broadcast_strides, collapsed, strides_of
from quantmcu.codegen.common import cycles_on, linear_fields, requantize_fields
from quantmcu.codegen.kernel import (
    Argument,
    Call,
    Constant,
    FieldValue,
    Input,
    Kernel,
    LoweredStep,
    Output,
    Reference,
    StepContext,
)
from quantmcu.codegen.registry import register
from quantmcu.program.steps import Linear, Lookup, Multiply, PRelu


def broadcast_box(context: StepContext) -> Box:
    """The output's box; arrays: the inputs, then the output."""
    shape = context.output.shape
    return collapsed(shape, *(broadcast_strides(value.shape, shape) for value in context.inputs), strides_of(shape))


def inputs_of_output_size(context: StepContext) -> tuple[int, ...]:
    """Inputs that are not broadcast, so that the output can take over their memory."""
    return tuple(i for i, value in enumerate(context.inputs) if value.elements == context.output.elements)


def _too_many_axes(box: Box) -> str | None:
    return f"{box.rank} axes after joining, at most {MAX_RANK}" if box.rank > MAX_RANK else None


def _box_fields(box: Box) -> dict[str, FieldValue]:
    """rank, counts and strides of one or two inputs and the output."""
    unused = (0,) * MAX_RANK
    return {
        "rank": box.rank,
        "counts": box.padded_counts(),
        "a_strides": box.padded_strides(0),
        "b_strides": box.padded_strides(1) if len(box.strides) == 3 else unused,
        "output_strides": box.padded_strides(len(box.strides) - 1),
    }


@register
class LinearPortable(Kernel):
    """Add, Sub or a change of scale, with any broadcast."""

    name = "linear_portable"
    step_type = Linear
    order = 9

    def unsupported(self, context: StepContext) -> str | None:
        """8 bits."""
        return super().unsupported(context) or _too_many_axes(broadcast_box(context))

    def in_place_inputs(self, context: StepContext) -> tuple[int, ...]:
        """Element by element."""
        return inputs_of_output_size(context)

    def cycles(self, context: StepContext) -> float:
        """Fitted on emulator measurements of GCC -O2."""
        elements, rows = context.output.elements, broadcast_box(context).rows
        return cycles_on(context.core, m4=33 * elements + 40 * rows, m7=16 * elements + 30 * rows)

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        step = context.step
        assert isinstance(step, Linear)
        fields = {**_box_fields(broadcast_box(context)), **linear_fields(step.form)}
        function = "qmcu_linear" if len(context.inputs) == 1 else "qmcu_linear2"
        arguments: tuple[Argument, ...] = (*(Input(0), Input(1))[: len(context.inputs)], Output())
        return LoweredStep(
            (Call(function, "qmcu_linear_params", fields, arguments),),
            headers=("linear.h", "strided.h", "requantize.h", "dsp.h"),
            sources=("linear.c",),
        )


@register
class MultiplyPortable(Kernel):
    """Product with any broadcast."""

    name = "multiply_portable"
    step_type = Multiply
    order = 9

    def unsupported(self, context: StepContext) -> str | None:
        """8 bits."""
        return super().unsupported(context) or _too_many_axes(broadcast_box(context))

    def in_place_inputs(self, context: StepContext) -> tuple[int, ...]:
        """Element by element."""
        return inputs_of_output_size(context)

    def cycles(self, context: StepContext) -> float:
        """Fitted on emulator measurements of GCC -O2."""
        elements, rows = context.output.elements, broadcast_box(context).rows
        return cycles_on(context.core, m4=56 * elements + 80 * rows, m7=26 * elements + 45 * rows)

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        step = context.step
        assert isinstance(step, Multiply)
        fields = {
            **_box_fields(broadcast_box(context)),
            "a_zero_point": step.zero_points[0],
            "b_zero_point": step.zero_points[1],
            "multiplier": int(step.requantize.multiplier.reshape(-1)[0]),
            **requantize_fields(step.requantize),
        }
        return LoweredStep(
            (Call("qmcu_multiply", "qmcu_multiply_params", fields, (Input(0), Input(1), Output())),),
            headers=("multiply.h", "strided.h", "requantize.h", "dsp.h"),
            sources=("multiply.c",),
        )


@register
class LookupPortable(Kernel):
    """A table of codes."""

    name = "lookup_portable"
    step_type = Lookup
    order = 9

    def in_place_inputs(self, context: StepContext) -> tuple[int, ...]:
        """Element by element."""
        return (0,)

    def cycles(self, context: StepContext) -> float:
        """Fitted on emulator measurements of GCC -O2."""
        return cycles_on(context.core, m4=5.3 * context.output.elements, m7=3.5 * context.output.elements)

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        step = context.step
        assert isinstance(step, Lookup)
        fields: dict[str, FieldValue] = {"elements": context.output.elements, "table": Reference("table")}
        return LoweredStep(
            (Call("qmcu_lookup", "qmcu_lookup_params", fields, (Input(), Output())),),
            (Constant("table", step.table, comment="output code of each input code"),),
            headers=("lookup.h",),
            sources=("lookup.c",),
        )


@register
class PReluPortable(Kernel):
    """Two multipliers, by the sign."""

    name = "prelu_portable"
    step_type = PRelu
    order = 9

    def in_place_inputs(self, context: StepContext) -> tuple[int, ...]:
        """Element by element."""
        return (0,)

    def cycles(self, context: StepContext) -> float:
        """Fitted on emulator measurements of GCC -O2."""
        return cycles_on(context.core, m4=43 * context.output.elements, m7=24 * context.output.elements)

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        return prelu_step(context, "qmcu_prelu", ("prelu.h",), ("prelu.c",))


def prelu_step(context: StepContext, function: str, headers: tuple[str, ...], sources: tuple[str, ...]) -> LoweredStep:
    """One call of a function of qmcu_prelu_params."""
    step = context.step
    assert isinstance(step, PRelu)
    channels = context.output.shape[-1]
    multiplier = step.requantize.multiplier
    if len(multiplier) == 2:  # one slope for all channels
        multiplier = multiplier[[0] + [1] * channels]
    fields: dict[str, FieldValue] = {
        "pixels": context.output.elements // channels,
        "channels": channels,
        "input_zero_point": step.input_zero_point,
        "multiplier": Reference("multiplier"),
        **requantize_fields(step.requantize),
    }
    return LoweredStep(
        (Call(function, "qmcu_prelu_params", fields, (Input(), Output())),),
        (Constant("multiplier", multiplier, comment="of values from zero on, then of negative ones by channel"),),
        headers=headers,
        sources=sources,
    )
