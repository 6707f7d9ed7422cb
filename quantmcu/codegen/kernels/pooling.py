"""Maximum and average pooling in plain C."""

from __future__ import annotations

from quantmcu.codegen.common import cycles_on, requantize_fields
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
)
from quantmcu.codegen.registry import register
from quantmcu.program.steps import AveragePool, MaxPool


def pooling_of(context: StepContext) -> MaxPool | AveragePool:
    """The step, which is a pooling."""
    assert isinstance(context.step, MaxPool | AveragePool)
    return context.step


def taps(context: StepContext) -> int:
    """Codes read, padding included."""
    step = pooling_of(context)
    return context.output.elements * step.kernel[0] * step.kernel[1]


def window_fields(context: StepContext) -> dict[str, FieldValue]:
    """Sizes, kernel, strides (and dilations) and padding."""
    step = pooling_of(context)
    _, input_height, input_width, channels = context.inputs[0].shape
    fields: dict[str, FieldValue] = {
        "input_height": input_height,
        "input_width": input_width,
        "channels": channels,
        "output_height": context.output.shape[1],
        "output_width": context.output.shape[2],
        "kernel_height": step.kernel[0],
        "kernel_width": step.kernel[1],
        "stride_y": step.strides[0],
        "stride_x": step.strides[1],
    }
    if isinstance(step, MaxPool):
        fields |= {"dilation_y": step.dilations[0], "dilation_x": step.dilations[1]}
    return fields | {"pad_top": step.pads[0], "pad_left": step.pads[1]}


def average_pool_fields(context: StepContext) -> dict[str, FieldValue]:
    """Fields of qmcu_average_pool_params."""
    step = pooling_of(context)
    assert isinstance(step, AveragePool)
    return {
        **window_fields(context),
        "input_zero_point": step.input_zero_point,
        "multiplier_count": len(step.requantize.multiplier),
        "multiplier": Reference("multiplier"),
        **requantize_fields(step.requantize),
    }


def average_pool_constants(context: StepContext) -> tuple[Constant, ...]:
    """The multipliers."""
    step = pooling_of(context)
    assert isinstance(step, AveragePool)
    return (Constant("multiplier", step.requantize.multiplier, comment="by the number of elements inside the map"),)


@register
class MaxPoolPortable(Kernel):
    """Largest code of each window, channel by channel."""

    name = "max_pool_portable"
    step_type = MaxPool
    order = 9

    def cycles(self, context: StepContext) -> float:
        """Fitted on emulator measurements of GCC -O2."""
        outputs = context.output.elements
        return cycles_on(context.core, m4=10.3 * taps(context) + 5 * outputs, m7=5.1 * taps(context) + 3 * outputs)

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        call = Call("qmcu_max_pool", "qmcu_max_pool_params", window_fields(context), (Input(), Output()))
        return LoweredStep((call,), headers=("pool.h",), sources=("max_pool.c",))


@register
class AveragePoolPortable(Kernel):
    """Mean of each window, a block of channels at once."""

    name = "average_pool_portable"
    step_type = AveragePool
    order = 9

    def cycles(self, context: StepContext) -> float:
        """Fitted on emulator measurements of GCC -O2."""
        outputs = context.output.elements
        return cycles_on(context.core, m4=9 * taps(context) + 35 * outputs, m7=3.6 * taps(context) + 20 * outputs)

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        call = Call("qmcu_average_pool", "qmcu_average_pool_params", average_pool_fields(context), (Input(), Output()))
        return LoweredStep(
            (call,),
            average_pool_constants(context),
            headers=("pool.h", "requantize.h", "dsp.h"),
            sources=("average_pool.c",),
        )
