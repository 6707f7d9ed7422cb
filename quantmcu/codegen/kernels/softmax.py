"""Softmax and ArgMax."""

from __future__ import annotations

from quantmcu.codegen.common import cycles_on
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
from quantmcu.program.steps import ArgMax, Softmax


def _rows(context: StepContext) -> dict[str, FieldValue]:
    value = context.inputs[0]
    return {"rows": value.elements // value.shape[-1], "length": value.shape[-1]}


@register
class SoftmaxPortable(Kernel):
    """Table of exponentials and one division an element."""

    name = "softmax_portable"
    step_type = Softmax
    order = 9

    def in_place_inputs(self, context: StepContext) -> tuple[int, ...]:
        """The sum is complete before the first code is written."""
        return (0,)

    def cycles(self, context: StepContext) -> float:
        """Fitted on emulator measurements of GCC -O2."""
        return cycles_on(context.core, m4=48 * context.output.elements, m7=29 * context.output.elements)

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        step = context.step
        assert isinstance(step, Softmax)
        fields = {**_rows(context), "exponentials": Reference("exponentials")}
        return LoweredStep(
            (Call("qmcu_softmax", "qmcu_softmax_params", fields, (Input(), Output())),),
            (Constant("exponentials", step.exponentials, comment="of the distance to the row's largest code"),),
            headers=("softmax.h",),
            sources=("softmax.c",),
        )


@register
class ArgMaxPortable(Kernel):
    """First index of the largest code."""

    name = "argmax_portable"
    step_type = ArgMax
    order = 9

    def unsupported(self, context: StepContext) -> str | None:
        """8 bits."""
        return None if context.inputs[0].bits == 8 else "maps of 8 bits only"

    def cycles(self, context: StepContext) -> float:
        """Fitted on emulator measurements of GCC -O2."""
        return cycles_on(context.core, m4=10.6 * context.inputs[0].elements, m7=5 * context.inputs[0].elements)

    def lower(self, context: StepContext) -> LoweredStep:
        """One call."""
        call = Call("qmcu_argmax", "qmcu_argmax_params", _rows(context), (Input(), Output()))
        return LoweredStep((call,), headers=("softmax.h",), sources=("softmax.c",))
