"""What a kernel states about itself.

Selection, memory planning, packing of weights and latency prediction all read this one place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from quantmcu.program.program import Value
from quantmcu.program.steps import Step
from quantmcu.targets.board import Board


@dataclass(frozen=True)
class Core:
    """The processor core that kernels are chosen for.

    Attributes:
        name: "cortex-m4", "cortex-m7", ...; also names the cycle model.
        has_dsp: has the Armv7E-M SIMD instructions (SMLAD, SXTB16, SMMLAR, USAT16, ...).
        has_fpu: has a single-precision FPU.
        optimize: what the code shall be good at: "balanced", "speed" or "size" (quantmcu/codegen/optimize.py).
        long_multiply_cycles: for which a multiplication with a 64-bit result keeps the multiplier; 1 or 2 on Cortex-M7.
    """

    name: str
    has_dsp: bool
    has_fpu: bool
    optimize: str = "balanced"
    long_multiply_cycles: int = 1

    @classmethod
    def of(cls, board: Board, optimize: str = "balanced") -> Core:
        """The core of a board; what its cycle model says otherwise than usual holds for the kernels' costs too."""
        parameters = board.cycle_model.get("parameters", {})
        return cls(
            board.core, board.has_dsp, board.fpu is not None, optimize, parameters.get("long_multiply_cycles", 1)
        )


@dataclass(frozen=True, eq=False)
class StepContext:
    """A step with the values around it and the core it runs on; what every question to a kernel is about."""

    step: Step
    inputs: tuple[Value, ...]
    output: Value
    core: Core


def geometry_key(context: StepContext) -> tuple[object, ...]:
    """What distinguishes contexts of one step: shapes, bits and padding."""
    shapes = tuple((value.shape, value.bits) for value in (*context.inputs, context.output))
    return (*shapes, getattr(context.step, "pads", None))


Bits = tuple[int, ...]
"""Of the inputs and of the output of a step."""


def bits_of(context: StepContext) -> Bits:
    """Bits of the inputs and of the output."""
    return tuple(value.bits for value in (*context.inputs, context.output))


@dataclass(frozen=True, eq=False)
class Words:
    """An array of 32-bit words that is made when it is asked for: most kernels are asked for its size only.

    Attributes:
        count: of words.
        make: packs them, uint32 [count].
    """

    count: int
    make: Callable[[], NDArray[np.uint32]]

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return 4 * self.count


@dataclass(frozen=True, eq=False)
class Constant:
    """A constant array in flash.

    Attributes:
        suffix: the C name is `<step name>_<suffix>`.
        source: one-dimensional (or flattened) array; its dtype decides the C type (int8_t .. int32_t, uint8_t ..
        uint32_t). Or words that are made when they are asked for.
        align: alignment in bytes.
        comment: one line above the array: layout and meaning.
    """

    suffix: str
    source: NDArray[np.generic] | Words
    align: int = 4
    comment: str = ""

    @property
    def nbytes(self) -> int:
        """Bytes of flash."""
        return self.source.nbytes

    @cached_property
    def data(self) -> NDArray[np.generic]:
        """The array.

        Raises:
            ValueError: it has another size than was said.
        """
        if not isinstance(self.source, Words):
            return self.source
        words = self.source.make()
        if words.nbytes != self.nbytes:
            raise ValueError(f"{self.suffix} has {words.nbytes} bytes, not {self.nbytes} as counted")
        return words


@dataclass(frozen=True)
class Input:
    """Argument of a call: address of input `index`, `offset` bytes in."""

    index: int = 0
    offset: int = 0


@dataclass(frozen=True)
class Output:
    """Argument of a call: address of the output, `offset` bytes in."""

    offset: int = 0


@dataclass(frozen=True)
class Scratch:
    """Argument of a call: address of the step's scratch memory (aligned to 8 bytes), `offset` bytes in."""

    offset: int = 0


Argument = Input | Output | Scratch | int
"""An argument after the parameter structure; an int is passed as it is."""


@dataclass(frozen=True)
class Reference:
    """Field value: the address of the constant with this suffix."""

    suffix: str


FieldValue = int | Reference | tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a C function: function(&parameters, arguments...).

    Attributes:
        function: C symbol.
        structure: C type of the parameter structure; it is emitted as `static const` with designated initialisers.
        Empty: none.
        fields: of the structure, in order.
        arguments: after the structure.
    """

    function: str
    structure: str
    fields: Mapping[str, FieldValue]
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, eq=False)
class LoweredStep:
    """A step as C: constants and calls, and the source files that it needs.

    Attributes:
        headers, sources: files below firmware/kernels, copied into the generated model's folder kernels/.
        generated: files made for this shape (name below kernels/ -> text). Two steps that generate the same name
            generate the same text.
    """

    calls: tuple[Call, ...]
    constants: tuple[Constant, ...] = ()
    headers: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    generated: Mapping[str, str] = field(default_factory=dict)


def only_8_bit_maps(context: StepContext) -> str | None:
    """Why a kernel for maps of 8 bits can't compute this step, or None."""
    other = [value.name for value in (*context.inputs, context.output) if value.bits != 8]
    return f"maps of 8 bits only, not {', '.join(other)}" if other else None


class Kernel(ABC):
    """A way to compute one kind of step.

    Attributes:
        name: unique; shown in reports, e.g. "depthwise_dsp".
        step_type: the class of steps that it computes.
        order: among kernels of equal predicted cycles the lower one is taken.
    """

    name: ClassVar[str]
    step_type: ClassVar[type[Step]]
    order: ClassVar[int] = 0

    def unsupported(self, context: StepContext) -> str | None:
        """Why the kernel can't compute this step on this core, or None when it can; by itself: maps of 8 bits only."""
        return only_8_bit_maps(context)

    def scratch_bytes(self, context: StepContext) -> int:
        """Bytes of scratch memory during the step, exactly."""
        return 0

    def in_place_inputs(self, context: StepContext) -> tuple[int, ...]:
        """Inputs whose memory the output may take over, at the same address, when nothing else reads them later."""
        return ()

    @abstractmethod
    def cycles(self, context: StepContext) -> float:
        """Predicted cycles of the step on the context's core, from measurements in the emulator."""

    @abstractmethod
    def lower(self, context: StepContext) -> LoweredStep:
        """The step as C."""
