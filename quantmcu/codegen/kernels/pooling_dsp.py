"""Pooling with DSP instructions."""

from __future__ import annotations

from quantmcu.codegen.common import cycles_on, needs_dsp
from quantmcu.codegen.kernel import Call, Input, Kernel, LoweredStep, Output, StepContext
from quantmcu.codegen.kernels.pooling import (
    average_pool_constants,
    average_pool_fields,
    pooling_of,
    taps,
    window_fields,
)
from quantmcu.codegen.registry import register
from quantmcu.program.steps import AveragePool, MaxPool


def _four_channels(context: StepContext) -> str | None:
    channels = context.output.shape[-1]
    return None if channels % 4 == 0 else f"channels in multiples of 4 only, not {channels}"


@register
class MaxPoolDsp(Kernel):
    """The larger of four codes in two instructions."""

    name = "max_pool_dsp"
    step_type = MaxPool

    def unsupported(self, context: StepContext) -> str | None:
        """8 bits, channels in multiples of 4."""
        return super().unsupported(context) or _four_channels(context) or needs_dsp(context)

    def cycles(self, context: StepContext) -> float:
        """Measured in the emulator."""
        outputs, pixels = context.output.elements, context.output.elements // context.output.shape[-1]
        if pooling_of(context).kernel == (2, 2):
            return cycles_on(context.core, m4=4.9 * outputs + 90 * pixels, m7=2.4 * outputs + 47 * pixels)
        return cycles_on(context.core, m4=3.1 * taps(context) + 90 * pixels, m7=1.6 * taps(context) + 47 * pixels)

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        call = Call("qmcu_max_pool_dsp", "qmcu_max_pool_params", window_fields(context), (Input(), Output()))
        return LoweredStep((call,), headers=("pool_dsp.h",), sources=("max_pool_dsp.c",))


@register
class AveragePoolDsp(Kernel):
    """Sums of four channels in two half-words each."""

    name = "average_pool_dsp"
    step_type = AveragePool

    def unsupported(self, context: StepContext) -> str | None:
        """8 bits, channels in multiples of 4, sums that don't saturate."""
        step = pooling_of(context)
        assert isinstance(step, AveragePool)
        if step.requantize.saturates(255 * step.kernel[0] * step.kernel[1]):
            return "sums that saturate"
        return super().unsupported(context) or _four_channels(context) or needs_dsp(context)

    def cycles(self, context: StepContext) -> float:
        """Measured in the emulator."""
        step, outputs = pooling_of(context), context.output.elements
        runs = outputs * (1 if step.kernel[1] == context.inputs[0].shape[2] else step.kernel[0])
        return cycles_on(
            context.core,
            m4=1.75 * taps(context) + 10 * runs + 35 * outputs,
            m7=0.95 * taps(context) + 5 * runs + 20 * outputs,
        )

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        call = Call(
            "qmcu_average_pool_dsp", "qmcu_average_pool_params", average_pool_fields(context), (Input(), Output())
        )
        return LoweredStep(
            (call,), average_pool_constants(context), headers=("pool_dsp.h",), sources=("average_pool_dsp.c",)
        )
