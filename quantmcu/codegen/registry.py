"""All kernels, and the choice among them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from quantmcu.codegen.kernel import Kernel, StepContext
from quantmcu.errors import QuantMCUError

_KERNELS: dict[str, Kernel] = {}

K = TypeVar("K", bound=type[Kernel])


def register(kernel: K) -> K:
    """Class decorator: adds a kernel to the registry."""
    if kernel.name in _KERNELS:
        raise ValueError(f"two kernels are called {kernel.name}")
    _KERNELS[kernel.name] = kernel()
    return kernel


def all_kernels() -> Iterator[Kernel]:
    """Every registered kernel, by name."""
    import quantmcu.codegen.kernels  # noqa: F401  (importing the package registers them)

    yield from (_KERNELS[name] for name in sorted(_KERNELS))


def choose_kernel(context: StepContext) -> Kernel:
    """The kernel with the fewest predicted cycles for a step.

    Raises:
        QuantMCUError: no kernel computes it on this core; says why each one does not.
    """
    candidates = [kernel for kernel in all_kernels() if isinstance(context.step, kernel.step_type)]
    usable = [kernel for kernel in candidates if kernel.unsupported(context) is None]
    if not usable:
        reasons = "; ".join(f"{kernel.name}: {kernel.unsupported(context)}" for kernel in candidates) or "no kernel"
        raise QuantMCUError(
            f"no kernel computes {type(context.step).__name__} in this form on {context.core.name}",
            where=context.step.layer or context.step.name,
            why=reasons,
            hint="please report this model: every step of the integer program should have a portable kernel",
        )
    return min(usable, key=lambda kernel: (kernel.cycles(context), kernel.order, kernel.name))
