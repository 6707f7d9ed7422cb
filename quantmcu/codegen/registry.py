"""All kernels, and the choice among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakKeyDictionary

from quantmcu.codegen.kernel import Bits, Kernel, StepContext, bits_of, geometry_key
from quantmcu.codegen.optimize import CYCLES_PER_BYTE, constant_bytes, generated_code
from quantmcu.errors import QuantMCUError
from quantmcu.program.steps import Step

_KERNELS: dict[str, Kernel] = {}
_BY_STEP: dict[str, tuple[Kernel, ...]] = {}

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


def kernels_for(step: Step) -> tuple[Kernel, ...]:
    """Every kernel for this kind of step, by name."""
    kind = type(step).__name__
    if kind not in _BY_STEP:
        _BY_STEP[kind] = tuple(kernel for kernel in all_kernels() if isinstance(step, kernel.step_type))
    return _BY_STEP[kind]


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


_ANSWERS: WeakKeyDictionary[Step, dict[tuple[object, ...], KernelFacts]] = WeakKeyDictionary()
_FLASH_ANSWERS: WeakKeyDictionary[Step, dict[tuple[object, ...], FlashFacts]] = WeakKeyDictionary()


class Facts:
    """Asks kernels, and remembers the answers by step name and geometry.

    A search asks the same questions thousands of times. Valid for the steps of one program, whose names are unique;
    what other programs asked about the very same step is known too.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], KernelFacts] = {}
        self._flash: dict[tuple[str, str, Bits], FlashFacts] = {}

    def of(self, kernel: Kernel, context: StepContext) -> KernelFacts:
        """What `kernel` says about `context`."""
        key = (kernel.name, context.step.name, geometry_key(context))
        if key not in self._known:
            answers = _ANSWERS.setdefault(context.step, {})
            question = (kernel.name, geometry_key(context), context.core)
            if question not in answers:
                answers[question] = _ask(kernel, context)
            self._known[key] = answers[question]
        return self._known[key]

    def flash_of(self, kernel: Kernel, context: StepContext) -> FlashFacts:
        """What `kernel` puts into flash for the step of `context`: asked once a step and bits, in whatever geometry."""
        key = (kernel.name, context.step.name, bits_of(context))
        if key not in self._flash:
            answers = _FLASH_ANSWERS.setdefault(context.step, {})
            question = (kernel.name, bits_of(context), context.core)
            if question not in answers:
                lowered = kernel.lower(context)
                answers[question] = FlashFacts(constant_bytes(lowered), generated_code(lowered))
            self._flash[key] = answers[question]
        return self._flash[key]


def _ask(kernel: Kernel, context: StepContext) -> KernelFacts:
    refusal = kernel.unsupported(context)
    if refusal is not None:
        return KernelFacts(refusal)
    return KernelFacts(None, kernel.cycles(context), kernel.scratch_bytes(context), kernel.in_place_inputs(context))


def choose_kernel(
    contexts: Sequence[tuple[StepContext, float]],
    facts: Facts,
    allowed: Callable[[FlashFacts], bool] | None = None,
    most_scratch: int | None = None,
) -> Kernel:
    """The kernel with the fewest predicted cycles for a step; under `size`, bytes of flash count as cycles.

    Args:
        contexts: every geometry in which it runs, and how often.
        facts: what is known of kernels already.
        allowed: which kernels may be taken, by what they put into flash.
        most_scratch: bytes of working memory that a kernel may take.

    Raises:
        QuantMCUError: no kernel computes it on this core; says why each one does not.
    """
    first = contexts[0][0]
    candidates = kernels_for(first.step)
    refusals = {
        kernel.name: next((r for r in (facts.of(kernel, context).refusal for context, _ in contexts) if r), None)
        for kernel in candidates
    }
    usable = [kernel for kernel in candidates if refusals[kernel.name] is None]
    if allowed is not None:
        usable = [kernel for kernel in usable if allowed(facts.flash_of(kernel, first))]
    if most_scratch is not None:
        usable = [kernel for kernel in usable if _most_scratch(kernel, contexts, facts) <= most_scratch]
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
    contexts: Sequence[StepContext | None],
    facts: Facts,
    allowed: Callable[[FlashFacts], bool] | None = None,
    most_scratch: int | None = None,
) -> dict[Bits, Kernel]:
    """The best kernel of a step for each combination of bits, see `choose_kernel`; None computes nothing."""
    return {
        bits: choose_kernel(group, facts, allowed, most_scratch) for bits, group in geometries_by_bits(contexts).items()
    }


def geometries_by_bits(
    contexts: Sequence[StepContext | None],
) -> dict[Bits, tuple[tuple[StepContext, float], ...]]:
    """The geometries of each combination of bits, and how often each occurs."""
    groups: dict[Bits, list[StepContext]] = {}
    for context in contexts:
        if context is not None:
            groups.setdefault(bits_of(context), []).append(context)
    return {bits: count_geometries(group, (1,) * len(group)) for bits, group in groups.items()}


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


def usable_kernels(context: StepContext, facts: Facts) -> list[KernelFacts]:
    """What all kernels that compute a step in this context say about it."""
    answers = [facts.of(kernel, context) for kernel in kernels_for(context.step)]
    return [answer for answer in answers if answer.refusal is None]


def least_scratch(contexts: Sequence[tuple[StepContext, float]], facts: Facts) -> int:
    """Bytes of scratch memory without which no kernel computes a step in all contexts."""
    candidates = kernels_for(contexts[0][0].step)
    usable = [k for k in candidates if all(facts.of(k, context).refusal is None for context, _ in contexts)]
    return min(_most_scratch(kernel, contexts, facts) for kernel in usable)


def _most_scratch(kernel: Kernel, contexts: Sequence[tuple[StepContext, float]], facts: Facts) -> int:
    return max(facts.of(kernel, context).scratch_bytes for context, _ in contexts)
