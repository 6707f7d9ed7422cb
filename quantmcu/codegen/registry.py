"""All kernels, and the choice among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from quantmcu.codegen.kernel import Bits, Kernel, StepContext, bits_of, geometry_key
from quantmcu.codegen.optimize import CYCLES_PER_BYTE, constant_bytes, generated_code
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

    yield from registered()


def registered() -> Iterator[Kernel]:
    """The kernels registered so far, by name; for kernels that build on others."""
    yield from (_KERNELS[name] for name in sorted(_KERNELS))


@dataclass(frozen=True)
class KernelFacts:
    """The answers of a kernel about one context; see `Kernel`."""

    refusal: str | None
    cycles: float = 0.0
    scratch_bytes: int = 0
    in_place: tuple[int, ...] = ()


@dataclass(frozen=True)
class FlashFacts:
    """Bytes of constants, and estimated bytes of generated code by source file, which steps may share."""

    constants: int
    code: Mapping[str, int]


class Facts:
    """Asks kernels, and remembers the answers by step name and geometry.

    A search asks the same questions thousands of times. Valid for the steps of one program, whose names are unique.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], KernelFacts] = {}
        self._flash: dict[tuple[str, str, Bits], FlashFacts] = {}

    def of(self, kernel: Kernel, context: StepContext) -> KernelFacts:
        """What `kernel` says about `context`."""
        key = (kernel.name, context.step.name, geometry_key(context))
        if key not in self._known:
            refusal = kernel.unsupported(context)
            self._known[key] = (
                KernelFacts(
                    None, kernel.cycles(context), kernel.scratch_bytes(context), kernel.in_place_inputs(context)
                )
                if refusal is None
                else KernelFacts(refusal)
            )
        return self._known[key]

    def flash_of(self, kernel: Kernel, context: StepContext) -> FlashFacts:
        """What `kernel` puts into flash for the step of `context`: asked once a step and bits, in whatever geometry."""
        key = (kernel.name, context.step.name, bits_of(context))
        if key not in self._flash:
            lowered = kernel.lower(context)
            self._flash[key] = FlashFacts(constant_bytes(lowered), generated_code(lowered))
        return self._flash[key]


def choose_kernel(
    contexts: Sequence[tuple[StepContext, float]], facts: Facts, allowed: Callable[[FlashFacts], bool] | None = None
) -> Kernel:
    """The kernel with the fewest predicted cycles for a step; under `size`, bytes of flash count as cycles.

    Args:
        contexts: every geometry in which it runs, and how often.
        facts: what is known of kernels already.
        allowed: which kernels may be taken, by what they put into flash.

    Raises:
        QuantMCUError: no kernel computes it on this core; says why each one does not.
    """
    first = contexts[0][0]
    candidates = [kernel for kernel in all_kernels() if isinstance(first.step, kernel.step_type)]
    refusals = {
        kernel.name: next((r for r in (facts.of(kernel, context).refusal for context, _ in contexts) if r), None)
        for kernel in candidates
    }
    usable = [kernel for kernel in candidates if refusals[kernel.name] is None]
    if allowed is not None:
        usable = [kernel for kernel in usable if allowed(facts.flash_of(kernel, first))]
    if not usable:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in refusals.items()) or "no kernel"
        raise QuantMCUError(
            f"no kernel computes {type(first.step).__name__} in this form on {first.core.name}",
            where=first.step.layer or first.step.name,
            why=reasons,
            hint="please report this model: every step of the integer program should have a portable kernel",
        )

    def cost(kernel: Kernel) -> float:
        cycles = sum(facts.of(kernel, context).cycles * count for context, count in contexts)
        if first.core.optimize != "size":
            return cycles
        flash = facts.flash_of(kernel, first)
        return cycles + CYCLES_PER_BYTE * (flash.constants + sum(flash.code.values()))

    return min(usable, key=lambda kernel: (cost(kernel), kernel.order, kernel.name))


def choose_kernels(
    contexts: Sequence[StepContext | None], facts: Facts, allowed: Callable[[FlashFacts], bool] | None = None
) -> dict[Bits, Kernel]:
    """The best kernel of a step for each combination of bits, see `choose_kernel`; None computes nothing."""
    groups: dict[Bits, list[StepContext]] = {}
    for context in contexts:
        if context is not None:
            groups.setdefault(bits_of(context), []).append(context)
    return {
        bits: choose_kernel(count_geometries(group, (1,) * len(group)), facts, allowed)
        for bits, group in groups.items()
    }


def count_geometries(
    contexts: Sequence[StepContext | None], runs: Sequence[float]
) -> tuple[tuple[StepContext, float], ...]:
    """One context of each geometry (shapes, bits and padding) of a step, and how often it runs in all."""
    found: dict[tuple[object, ...], tuple[StepContext, float]] = {}
    for context, count in zip(contexts, runs, strict=True):
        if context is not None:
            key = (context.step.name, *geometry_key(context))
            first, before = found.get(key, (context, 0))
            found[key] = (first, before + count)
    return tuple(found.values())
