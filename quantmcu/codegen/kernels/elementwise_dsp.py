"""Element-wise operators with DSP instructions."""

from __future__ import annotations

from functools import cache

from quantmcu.codegen.assembly.linear import LinearLoop, generate_linear
from quantmcu.codegen.common import cycles_on, needs_dsp, requantize_fields
from quantmcu.codegen.kernel import Call, FieldValue, Input, Kernel, LoweredStep, Output, StepContext
from quantmcu.codegen.kernels.elementwise import inputs_of_output_size, prelu_step
from quantmcu.codegen.registry import register
from quantmcu.codegen.templates import environment
from quantmcu.program.fixed_point import LinearForm
from quantmcu.program.steps import Linear, Multiply, PRelu


def _same_size(context: StepContext) -> str | None:
    whole = inputs_of_output_size(context)
    return None if len(whole) == len(context.inputs) else "inputs of the output's shape only"


def _clamp_cycles(context: StepContext, low: int, high: int) -> float:
    """Cycles of clamping to less than 0 .. 255 afterwards."""
    return 2.7 * context.output.elements if low > 0 or high < 255 else 0.0


def _form(context: StepContext) -> LinearForm:
    assert isinstance(context.step, Linear)
    return context.step.form


@register
class LinearGenerated(Kernel):
    """Add, Sub or a change of scale without broadcast, in assembly for the shift."""

    name = "linear_generated"
    step_type = Linear

    def unsupported(self, context: StepContext) -> str | None:
        """8 bits, no broadcast."""
        return super().unsupported(context) or needs_dsp(context) or _same_size(context)

    def in_place_inputs(self, context: StepContext) -> tuple[int, ...]:
        """Element by element."""
        return inputs_of_output_size(context)

    def cycles(self, context: StepContext) -> float:
        """Measured in the emulator."""
        form, elements = _form(context), context.output.elements
        clamp = _clamp_cycles(context, form.low, form.high)
        m4, m7 = (7.65, 4.13) if len(context.inputs) == 2 else (5.15, 2.88)
        return cycles_on(context.core, m4=m4 * elements + clamp + 60, m7=m7 * elements + clamp / 2 + 50)

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        form = _form(context)
        loop = LinearLoop(context.core.name == "cortex-m7", len(context.inputs), form.shift)
        multipliers = (*form.multipliers, 0)
        fields: dict[str, FieldValue] = {
            "elements": context.output.elements,
            "constant": form.constant,
            "multiplier_a": multipliers[0],
            "multiplier_b": multipliers[1],
            "low": form.low,
            "high": form.high,
        }
        inputs = (Input(0), Input(1))[: len(context.inputs)]
        return LoweredStep(
            (Call(loop.symbol, "qmcu_linear_dsp_params", fields, (*inputs, Output())),),
            headers=("linear_dsp.h", f"{loop.symbol}.h"),
            generated=_generated_files(loop),
        )


@cache
def _generated_files(loop: LinearLoop) -> dict[str, str]:
    arguments = {
        "loop": loop,
        "core": "Cortex-M7" if loop.dual_issue else "Cortex-M4",
        "lines": generate_linear(loop),
    }
    return {
        f"{loop.symbol}.{suffix}": environment().get_template(f"linear_loop.{suffix}.j2").render(arguments)
        for suffix in ("c", "h")
    }


@register
class MultiplyDsp(Kernel):
    """Product of maps of one shape, or of a map and a gate of one code a channel."""

    name = "multiply_dsp"
    step_type = Multiply

    def unsupported(self, context: StepContext) -> str | None:
        """8 bits; the second input may be a gate."""
        requantize = _product(context).requantize
        if requantize.saturates(255 * 255):
            return "products that saturate"
        problem = _same_size(context)
        if problem is not None and _gate_input(context) is None:
            return "inputs of the output's shape, or a gate of one code a channel"
        return super().unsupported(context) or needs_dsp(context)

    def in_place_inputs(self, context: StepContext) -> tuple[int, ...]:
        """Element by element; a gate is read while the output is written."""
        gate = _gate_input(context)
        return inputs_of_output_size(context) if gate is None else (1 - gate,)

    def cycles(self, context: StepContext) -> float:
        """Measured in the emulator."""
        requantize, elements = _product(context).requantize, context.output.elements
        clamp = _clamp_cycles(context, requantize.low, requantize.high)
        if _gate_input(context) is None:
            return cycles_on(context.core, m4=14.8 * elements + clamp, m7=11 * elements + clamp / 2)
        channels = context.output.shape[-1]
        return cycles_on(
            context.core, m4=10 * elements + 40 * channels + clamp, m7=5.5 * elements + 30 * channels + clamp / 2
        )

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        step, gate = _product(context), _gate_input(context)
        first = 0 if gate is None else 1 - gate
        channels = context.output.shape[-1]
        fields: dict[str, FieldValue] = {
            "pixels": context.output.elements // channels,
            "channels": channels,
            "a_zero_point": step.zero_points[first],
            "b_zero_point": step.zero_points[1 - first],
            "multiplier": int(step.requantize.multiplier.reshape(-1)[0]),
            **requantize_fields(step.requantize),
        }
        function = "qmcu_multiply_dsp" if gate is None else "qmcu_multiply_gate_dsp"
        return LoweredStep(
            (Call(function, "qmcu_multiply_dsp_params", fields, (Input(first), Input(1 - first), Output())),),
            headers=("multiply_dsp.h",),
            sources=("multiply_dsp.c",),
        )


def _product(context: StepContext) -> Multiply:
    assert isinstance(context.step, Multiply)
    return context.step


def _gate_input(context: StepContext) -> int | None:
    """The input that is a gate: one code a channel, while the other input has the output's shape."""
    if not context.output.shape or context.output.elements == context.output.shape[-1]:
        return None
    for gate in (1, 0):
        value, other = context.inputs[gate], context.inputs[1 - gate]
        per_channel = value.elements == context.output.shape[-1] == value.shape[-1:][0]
        if per_channel and other.elements == context.output.elements:
            return gate
    return None


@register
class PReluDsp(Kernel):
    """Channel by channel, with its two multipliers in registers."""

    name = "prelu_dsp"
    step_type = PRelu

    def unsupported(self, context: StepContext) -> str | None:
        """8 bits."""
        assert isinstance(context.step, PRelu)
        if context.step.requantize.saturates(255):
            return "values that saturate"
        return super().unsupported(context) or needs_dsp(context)

    def in_place_inputs(self, context: StepContext) -> tuple[int, ...]:
        """Element by element."""
        return (0,)

    def cycles(self, context: StepContext) -> float:
        """Measured in the emulator."""
        assert isinstance(context.step, PRelu)
        requantize, elements = context.step.requantize, context.output.elements
        clamp = _clamp_cycles(context, requantize.low, requantize.high)
        channels = context.output.shape[-1]
        return cycles_on(
            context.core, m4=15.8 * elements + 40 * channels + clamp, m7=11 * elements + 30 * channels + clamp / 2
        )

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        return prelu_step(context, "qmcu_prelu_dsp", ("prelu_dsp.h",), ("prelu_dsp.c",))
