"""What the specifications of several kernel families share."""

from __future__ import annotations

from quantmcu.codegen.kernel import Core, StepContext
from quantmcu.program.fixed_point import LinearForm, Requantize

# Cycles of cores that are not measured, as multiples of the Cortex-M4's: no single-cycle long multiplication and no
# bit-field instructions on Armv6-M; the pipelines of M3 and M33 are close to the M4's on code without DSP instructions.
_OF_CORTEX_M4 = {"cortex-m0": 2.5, "cortex-m0plus": 2.0, "cortex-m3": 1.15, "cortex-m33": 1.0}


def measured_core(core: Core) -> tuple[str, float]:
    """The core, Cortex-M4 or Cortex-M7, whose cycles were measured in the emulator, and by what `core` takes more."""
    if core.name == "cortex-m7":
        return core.name, 1.0
    return "cortex-m4", _OF_CORTEX_M4.get(core.name, 1.0)


def cycles_on(core: Core, *, m4: float, m7: float) -> float:
    """Cycles on `core` from those measured on Cortex-M4 and Cortex-M7."""
    measured, factor = measured_core(core)
    return factor * (m7 if measured == "cortex-m7" else m4)


def only_whole_bytes(context: StepContext) -> str | None:
    """Why a kernel that moves whole bytes can't compute this step, or None."""
    other = [value.name for value in (*context.inputs, context.output) if value.bits < 8]
    return f"maps of 8 bits only, not {', '.join(other)}" if other else None


def needs_dsp(context: StepContext) -> str | None:
    """Why a kernel of DSP instructions can't run on this core, or None."""
    return None if context.core.has_dsp else f"{context.core.name} has no DSP instructions"


def requantize_fields(requantize: Requantize) -> dict[str, int]:
    """The last fields of most parameter structures."""
    return {
        "shift": requantize.shift,
        "zero_point": requantize.zero_point,
        "low": requantize.low,
        "high": requantize.high,
    }


def linear_fields(form: LinearForm) -> dict[str, int]:
    """The arithmetic of a linear form as in firmware/kernels/linear.h."""
    multipliers = (*form.multipliers, 0)
    return {
        "constant": form.constant,
        "multiplier_a": multipliers[0],
        "multiplier_b": multipliers[1],
        "shift": form.shift,
        "low": form.low,
        "high": form.high,
    }
