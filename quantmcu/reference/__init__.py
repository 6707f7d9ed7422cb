"""NumPy interpreter of the integer program: the bit-exact definition."""

from quantmcu.reference.interpreter import execute, execute_step

__all__ = ["execute", "execute_step"]
