"""Generator of inner kernels in assembly for Armv7E-M: one function for a shape of block and a core."""

from quantmcu.codegen.assembly.block_kernel import BlockKernel, Control, Scheme
from quantmcu.codegen.assembly.matmul import cycles_of_group, describe_registers, generate_block_kernel

__all__ = ["BlockKernel", "Control", "Scheme", "cycles_of_group", "describe_registers", "generate_block_kernel"]
