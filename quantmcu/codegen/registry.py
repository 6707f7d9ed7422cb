"""All kernels, and the choice among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


def choose_kernel(contexts: Sequence[StepContext]) -> Kernel:
    """The kernel with the fewest predicted cycles for a step, in all contexts in which it runs.

    Raises:
        QuantMCUError: no kernel computes it on this core; says why each one does not.
    """
    first = contexts[0]
    candidates = [kernel for kernel in all_kernels() if isinstance(first.step, kernel.step_type)]
    refusals = {kernel.name: next(filter(None, map(kernel.unsupported, contexts)), None) for kernel in candidates}
    usable = [kernel for kernel in candidates if refusals[kernel.name] is None]
    if not usable:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in refusals.items()) or "no kernel"
        raise QuantMCUError(
            f"no kernel computes {type(first.step).__name__} in this form on {first.core.name}",
            where=first.step.layer or first.step.name,
            why=reasons,
            hint="please report this model: every step of the integer program should have a portable kernel",
        )
    return min(usable, key=lambda kernel: (sum(map(kernel.cycles, contexts)), kernel.order, kernel.name))
