"""The test of patches for outliers (firmware/kernels/outliers.h)."""

from __future__ import annotations

from quantmcu.codegen.common import cycles_on, needs_dsp
from quantmcu.codegen.kernel import Call, FieldValue, Input, Kernel, LoweredStep, Output, StepContext
from quantmcu.codegen.registry import register
from quantmcu.program.steps import DetectOutliers


def _lowered(context: StepContext, function: str, source: str) -> LoweredStep:
    step = context.step
    assert isinstance(step, DetectOutliers)
    fields: dict[str, FieldValue] = {
        "elements": context.inputs[0].elements,
        "limit": step.limit,
        "low": step.low,
        "high": step.high,
    }
    call = Call(function, "qmcu_outliers_params", fields, (Input(), Output()))
    return LoweredStep((call,), headers=("outliers.h",), sources=(source,))


@register
class DetectOutliersPortable(Kernel):
    """Code after code."""

    name = "detect_outliers_portable"
    step_type = DetectOutliers
    order = 9

    def cycles(self, context: StepContext) -> float:
        """Of a patch without outliers, where all of it is read; measured in the emulator, GCC -O2."""
        codes = context.inputs[0].elements
        return cycles_on(context.core, m4=25 + 14.8 * codes, m7=26 + 8.5 * codes)

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        return _lowered(context, "qmcu_detect_outliers", "outliers.c")


@register
class DetectOutliersDsp(Kernel):
    """Four codes at a time."""

    name = "detect_outliers_dsp"
    step_type = DetectOutliers

    def unsupported(self, context: StepContext) -> str | None:
        """8 bits, DSP instructions."""
        return super().unsupported(context) or needs_dsp(context)

    def cycles(self, context: StepContext) -> float:
        """Of a patch without outliers, where all of it is read; measured in the emulator, GCC -O2."""
        codes = context.inputs[0].elements
        return cycles_on(context.core, m4=65 + 2.97 * codes, m7=59 + 2.15 * codes)

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        return _lowered(context, "qmcu_detect_outliers_dsp", "outliers_dsp.c")
