"""The integer program, and the lowering of a quantized graph to it."""

from quantmcu.program.fixed_point import LinearForm, Requantize, linear_form, requantize_for
from quantmcu.program.program import Program, Value

__all__ = ["LinearForm", "Program", "Requantize", "Value", "linear_form", "requantize_for"]
