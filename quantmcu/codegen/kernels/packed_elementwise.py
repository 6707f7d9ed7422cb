"""Linear combinations, tables and pooling of packed maps in plain C."""

from __future__ import annotations

from quantmcu.codegen.common import cycles_on, linear_fields
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
from quantmcu.codegen.kernels.pooling import average_pool_constants, average_pool_fields, taps, window_fields
from quantmcu.codegen.packed import channels_of, maps_of_codes, pixels_of
from quantmcu.codegen.registry import register
from quantmcu.program.steps import AveragePool, Linear, Lookup, MaxPool


@register
class PackedLinear(Kernel):
    """Add, Sub or a change of scale of maps of equal shape, a block of channels at once."""

    name = "packed_linear_portable"
    step_type = Linear
    order = 19

    def unsupported(self, context: StepContext) -> str | None:
        """Any codes, no broadcast."""
        if any(value.shape != context.output.shape for value in context.inputs):
            return "maps of equal shape only"
        return maps_of_codes(context)

    def in_place_inputs(self, context: StepContext) -> tuple[int, ...]:
        """Inputs that are at least as wide: a block is read whole before it is written, at or before the same place."""
        return tuple(i for i, value in enumerate(context.inputs) if value.bits >= context.output.bits)

    def cycles(self, context: StepContext) -> float:
        """Fitted on emulator measurements of GCC -O2."""
        elements = context.output.elements
        codes = elements * (1 + len(context.inputs))
        return cycles_on(context.core, m4=20 * elements + 12 * codes, m7=10 * elements + 9 * codes)

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        step = context.step
        assert isinstance(step, Linear)
        fields: dict[str, FieldValue] = {
            "pixels": pixels_of(context.output),
            "channels": channels_of(context.output),
            "a_bits": context.inputs[0].bits,
            "b_bits": context.inputs[-1].bits,
            "output_bits": context.output.bits,
            **linear_fields(step.form),
        }
        function = "qmcu_packed_linear" if len(context.inputs) == 1 else "qmcu_packed_linear2"
        inputs = tuple(Input(index) for index in range(len(context.inputs)))
        arguments: tuple[Argument, ...] = (*inputs, Output())
        return LoweredStep(
            (Call(function, "qmcu_packed_linear_params", fields, arguments),),
            headers=("packed_elementwise.h", "packed.h", "requantize.h", "dsp.h"),
            sources=("packed_elementwise.c", "packed.c"),
        )


@register
class PackedLookup(Kernel):
    """A table of codes."""

    name = "packed_lookup_portable"
    step_type = Lookup
    order = 19

    def unsupported(self, context: StepContext) -> str | None:
        """Any codes."""
        return maps_of_codes(context)

    def in_place_inputs(self, context: StepContext) -> tuple[int, ...]:
        """As PackedLinear."""
        return (0,) if context.inputs[0].bits >= context.output.bits else ()

    def cycles(self, context: StepContext) -> float:
        """Fitted on emulator measurements of GCC -O2."""
        return cycles_on(context.core, m4=39 * context.output.elements, m7=25 * context.output.elements)

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        step = context.step
        assert isinstance(step, Lookup)
        fields: dict[str, FieldValue] = {
            "pixels": pixels_of(context.output),
            "channels": channels_of(context.output),
            "input_bits": context.inputs[0].bits,
            "output_bits": context.output.bits,
            "table": Reference("table"),
        }
        return LoweredStep(
            (Call("qmcu_packed_lookup", "qmcu_packed_lookup_params", fields, (Input(), Output())),),
            (Constant("table", step.table, comment="output code of each input code"),),
            headers=("packed_elementwise.h", "packed.h", "requantize.h", "dsp.h"),
            sources=("packed_elementwise.c", "packed.c"),
        )


@register
class PackedMaxPool(Kernel):
    """Largest code of each window, a block of channels at once."""

    name = "packed_max_pool_portable"
    step_type = MaxPool
    order = 19

    def unsupported(self, context: StepContext) -> str | None:
        """Any codes, the same bits on both sides."""
        if context.inputs[0].bits != context.output.bits:
            return "input and output of the same bits only"
        return maps_of_codes(context)

    def cycles(self, context: StepContext) -> float:
        """Fitted on emulator measurements of GCC -O2."""
        outputs = context.output.elements
        return cycles_on(context.core, m4=20 * taps(context) + 28 * outputs, m7=11 * taps(context) + 16 * outputs)

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        fields = {**window_fields(context), "bits": context.output.bits}
        call = Call("qmcu_packed_max_pool", "qmcu_packed_max_pool_params", fields, (Input(), Output()))
        return LoweredStep((call,), headers=_POOL_HEADERS, sources=_POOL_SOURCES)


@register
class PackedAveragePool(Kernel):
    """Mean of each window, a block of channels at once."""

    name = "packed_average_pool_portable"
    step_type = AveragePool
    order = 19

    def unsupported(self, context: StepContext) -> str | None:
        """Any codes."""
        return maps_of_codes(context)

    def cycles(self, context: StepContext) -> float:
        """Fitted on emulator measurements of GCC -O2."""
        outputs = context.output.elements
        return cycles_on(context.core, m4=22 * taps(context) + 48 * outputs, m7=11 * taps(context) + 32 * outputs)

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        bits = {"input_bits": context.inputs[0].bits, "output_bits": context.output.bits}
        fields = average_pool_fields(context)
        place = list(fields).index("input_zero_point")
        entries = [*fields.items()]
        ordered = dict([*entries[:place], *bits.items(), *entries[place:]])
        call = Call("qmcu_packed_average_pool", "qmcu_packed_average_pool_params", ordered, (Input(), Output()))
        return LoweredStep((call,), average_pool_constants(context), _POOL_HEADERS, _POOL_SOURCES)


_POOL_HEADERS = ("packed_pool.h", "pool.h", "packed.h", "requantize.h", "dsp.h")
_POOL_SOURCES = ("packed_pool.c", "packed.c")
