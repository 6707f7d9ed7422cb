"""Packed maps by the kernels for bytes, a band of rows at a time (firmware/kernels/bands.h).

The memory of a few unpacked rows suffices, where `packed_any` needs that of whole maps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from quantmcu.codegen.common import cycles_on
from quantmcu.codegen.kernel import (
    Argument,
    Call,
    Input,
    Kernel,
    LoweredStep,
    Output,
    Scratch,
    StepContext,
    geometry_key,
)
from quantmcu.codegen.kernels.packed_any import inner_kernel, unpacked
from quantmcu.codegen.packed import channels_of, is_packed, maps_of_codes, pixels_of
from quantmcu.codegen.registry import register
from quantmcu.codegen.templates import environment
from quantmcu.program import steps
from quantmcu.program.program import Value

_ENOUGH_SCRATCH = 8192
_COMPARED = 3
_HEADERS = ("bands.h", "packed.h", "dsp.h")


@dataclass(frozen=True)
class _Rows:
    """How a band lies in a map: the fields of qmcu_band_map with the same names."""

    row_pixels: int
    height: int
    rows: int
    step: int
    before: int = 0
    padding: int = 0

    @property
    def is_inside(self) -> bool:
        """No band reaches beyond the map."""
        return self.before == 0 and self.rows <= self.height


@dataclass(frozen=True)
class _Bands:
    """A division: the step on the bytes of a band, its kernel, and how bands lie in inputs and output."""

    count: int
    context: StepContext
    kernel: Kernel
    inputs: tuple[_Rows, ...]
    output: _Rows

    def places(self, whole: StepContext) -> tuple[int, ...]:
        """Where the bands of inputs and output, and the kernel's scratch memory, lie in scratch; -1: in the map."""
        places, end = [], 0
        bands = (*self.context.inputs, self.context.output)
        for value, band, rows in zip((*whole.inputs, whole.output), bands, (*self.inputs, self.output), strict=True):
            in_map = value.bits == 8 and (rows.is_inside and self._reaches(rows))
            places.append(-1 if in_map else end)
            end += 0 if in_map else (band.elements + 7) // 8 * 8
        return (*places, end)

    def _reaches(self, rows: _Rows) -> bool:
        return (self.count - 1) * rows.step + rows.rows <= rows.height

    def scratch_bytes(self, whole: StepContext) -> int:
        """Bytes of the bands and of the kernel."""
        return self.places(whole)[-1] + self.kernel.scratch_bytes(self.context)

    def cycles(self, whole: StepContext) -> float:
        """Of the kernel, of unpacking, packing and clamping, and of the calls."""
        costs = _M7 if whole.core.name == "cortex-m7" else _M4
        values, parts = (*whole.inputs, whole.output), (*self.context.inputs, self.context.output)
        each = costs["band"]
        for value, part, place in zip(values, parts, self.places(whole)[:-1], strict=True):
            in_words = channels_of(value) * value.bits % 8 == 0 and part.elements * value.bits % 32 == 0
            kind = f"{value.bits} bits" if in_words else "singly"
            each += costs[kind] * part.elements if place >= 0 else 0
        if isinstance(self.context.step, steps.Convolution) and whole.output.bits < 8:
            each += costs["clamped"] * self.context.output.elements
        return self.count * (self.kernel.cycles(self.context) + cycles_on(whole.core, m4=each, m7=each))


# Cycles of a code that is unpacked, packed or copied, of an output clamped to fewer bits, and of a band; fitted on
# emulator measurements of 12 steps at five pairs of bits, within 3 %.
_M4 = {"8 bits": 0.6, "4 bits": 1.78, "2 bits": 2.02, "singly": 8.0, "clamped": 3.2, "band": 646.0}
_M7 = {"8 bits": 0.6, "4 bits": 1.3, "2 bits": 1.33, "singly": 6.0, "clamped": 1.5, "band": 317.0}
_FOUND: WeakKeyDictionary[steps.Step, dict[tuple[object, ...], _Bands | str]] = WeakKeyDictionary()


class OnBands(Kernel):
    """Unpacks a few rows, computes on bytes, packs the outputs."""

    order = 16

    def unsupported(self, context: StepContext) -> str | None:
        """Packed maps that can be divided, where a kernel for bytes exists."""
        if not is_packed(context):
            return "packed maps only"
        found = maps_of_codes(context) or _bands(context)
        return found if isinstance(found, str) else None

    def scratch_bytes(self, context: StepContext) -> int:
        """The bands and the kernel's own."""
        return _chosen(context).scratch_bytes(context)

    def in_place_inputs(self, context: StepContext) -> tuple[int, ...]:
        """A band is read before it is written, at or before the same place, where pixels do not become longer."""
        bands, output = _chosen(context), context.output
        if not _is_pixelwise(unpacked(context)):
            return ()
        inner = bands.kernel.in_place_inputs(bands.context)
        return tuple(
            index
            for index, value in enumerate(context.inputs)
            if pixels_of(value) == pixels_of(output)
            and value.row_bytes >= output.row_bytes
            and (min(value.bits, output.bits) < 8 or index in inner)
        )

    def cycles(self, context: StepContext) -> float:
        """See `_Bands`."""
        return _chosen(context).cycles(context)

    def lower(self, context: StepContext) -> LoweredStep:
        """The kernel's call, as a call of a generated function that runs it on bands."""
        bands = _chosen(context)
        lowered = bands.kernel.lower(bands.context)
        (call,) = lowered.calls
        headers = tuple(name for name in lowered.headers if name in lowered.generated or name.endswith(".h"))
        symbol, generated = _generated(context, bands, call, headers)
        arguments: tuple[Argument, ...] = (*(Input(index) for index in range(len(context.inputs))), Output(), Scratch())
        return replace(
            lowered,
            calls=(replace(call, function=symbol, arguments=arguments),),
            headers=(*lowered.headers, *_HEADERS, f"{symbol}.h"),
            sources=(*lowered.sources, "bands.c", "packed.c"),
            generated={**lowered.generated, **generated},
        )


def _generated(
    context: StepContext, bands: _Bands, call: Call, headers: tuple[str, ...]
) -> tuple[str, dict[str, str]]:
    """The function's name and its files."""
    *places, scratch = bands.places(context)
    values = (*context.inputs, context.output)
    maps = [
        (value.bits, channels_of(value), rows.row_pixels, rows.height, rows.rows, rows.step, rows.before, rows.padding,
         place)
        for value, rows, place in zip(values, (*bands.inputs, bands.output), places, strict=True)
    ]  # fmt: skip
    names = {Input(0): "a", Input(1): "b", Output(): "output", Scratch(): "scratch"}
    arguments = [names[argument] for argument in call.arguments if not isinstance(argument, int)]
    text = {
        "inner": call.function,
        "structure": call.structure,
        "headers": headers,
        "bands": bands.count,
        "maps": maps[:-1],
        "output": maps[-1],
        "scratch": scratch,
        "arguments": ["layer", *arguments],
        "unused": [name for name in names.values() if name not in arguments],
        "inputs": ", ".join(f"const uint8_t *{name}" for name in "ab"[: len(context.inputs)]),
    }
    key = hashlib.sha256(repr(sorted(text.items())).encode()).hexdigest()[:8]
    symbol = f"qmcu_bands_{call.function.removeprefix('qmcu_')}_{key}"
    templates = environment()
    return symbol, {
        f"{symbol}.{suffix}": templates.get_template(f"bands.{suffix}.j2").render(text, symbol=symbol)
        for suffix in ("c", "h")
    }


def _chosen(context: StepContext) -> _Bands:
    bands = _bands(context)
    if isinstance(bands, str):
        raise ValueError(f"{context.step.name}: {bands}")
    return bands


def _bands(context: StepContext) -> _Bands | str:
    """The division with the fewest predicted cycles among those with little scratch memory, or why there is none."""
    key = (*geometry_key(context), context.core)
    known = _FOUND.setdefault(context.step, {})
    if key not in known:
        found = list(_divisions(context))
        least = min((bands.scratch_bytes(context) for bands in found), default=0)
        small = [bands for bands in found if bands.scratch_bytes(context) <= max(least, 2 * _ENOUGH_SCRATCH)]
        known[key] = (
            min(small, key=lambda bands: (bands.cycles(context), bands.count))
            if small
            else "no division into bands that a kernel for bytes computes"
        )
    return known[key]


def _divisions(context: StepContext) -> Iterator[_Bands]:
    """Divisions into bands of one form."""
    whole = unpacked(context)
    if _is_pixelwise(whole):
        divided = [_pixel_bands(whole, size) for size in _divisors(pixels_of(whole.output))]
    elif _is_windowed(whole):
        divided = [_row_bands(whole, size) for size in _divisors(whole.output.shape[1])]
    else:
        return
    # Larger bands cost less; a few are enough to compare.
    small = [division for division in divided if _bytes(division[1]) <= _ENOUGH_SCRATCH][-_COMPARED:]
    for count, part, inputs, output in small or divided[:1]:
        kernel = inner_kernel(part)
        if kernel is not None:
            yield _Bands(count, part, kernel, inputs, output)


def _bytes(context: StepContext) -> int:
    return sum(value.elements for value in (*context.inputs, context.output))


_Division = tuple[int, StepContext, tuple[_Rows, ...], _Rows]


def _divisors(number: int) -> list[int]:
    return [size for size in range(1, number + 1) if number % size == 0]


def _is_pixelwise(context: StepContext) -> bool:
    """Each output pixel is made of the same pixel of the inputs, or of a single pixel for all."""
    step, output = context.step, context.output
    if isinstance(step, steps.Convolution):
        return (step.kernel, step.strides, step.pads) == ((1, 1), (1, 1), (0, 0, 0, 0))
    if not isinstance(step, steps.Linear | steps.Multiply | steps.PRelu | steps.Lookup):
        return False
    return all(_same(value, output) or _is_gate(value, output) for value in context.inputs)


def _same(value: Value, output: Value) -> bool:
    return value.shape == output.shape


def _is_gate(value: Value, output: Value) -> bool:
    return channels_of(value) == channels_of(output) == value.elements


def _pixel_bands(context: StepContext, size: int) -> _Division:
    """Bands of `size` pixels: rows of one pixel."""
    pixels = pixels_of(context.output)

    def band(value: Value) -> tuple[Value, _Rows]:
        is_gate = value.elements == channels_of(value) and pixels > 1
        rows = 1 if is_gate else size
        part = replace(value, shape=(1, 1, rows, channels_of(value)))
        return part, _Rows(1, 1 if is_gate else pixels, rows, 0 if is_gate else size)

    parts, rows = zip(*map(band, (*context.inputs, context.output)), strict=True)
    return pixels // size, replace(context, inputs=parts[:-1], output=parts[-1]), rows[:-1], rows[-1]


def _is_windowed(context: StepContext) -> bool:
    """Each output pixel is made of a window, in which padding is a code like others."""
    step = context.step
    if isinstance(step, steps.AveragePool):
        return not any(step.pads) or len(step.requantize.multiplier) == 1
    return isinstance(step, steps.Convolution | steps.MaxPool)


def _row_bands(context: StepContext, size: int) -> _Division:
    """Bands of `size` rows of outputs; rows of padding are part of the bands."""
    step, (source,), output = context.step, context.inputs, context.output
    assert isinstance(step, steps.Convolution | steps.MaxPool | steps.AveragePool)
    kernel = step.weight.shape[1] if isinstance(step, steps.Convolution) else step.kernel[0]
    dilation = 1 if isinstance(step, steps.AveragePool) else step.dilations[0]
    rows = (size - 1) * step.strides[0] + (kernel - 1) * dilation + 1
    top, left, _, right = step.pads
    padding = 0 if isinstance(step, steps.MaxPool) else step.input_zero_point
    _, height, width, channels = source.shape
    part = replace(
        context,
        step=replace(step, pads=(0, left, 0, right)),
        inputs=(replace(source, shape=(1, rows, width, channels)),),
        output=replace(output, shape=(1, size, *output.shape[2:])),
    )
    of_input = _Rows(width, height, rows, size * step.strides[0], top, padding)
    of_output = _Rows(output.shape[2], output.shape[1], size, size)
    return output.shape[1] // size, part, (of_input,), of_output


_TYPES = {
    "convolution": steps.Convolution,
    "linear": steps.Linear,
    "multiply": steps.Multiply,
    "prelu": steps.PRelu,
    "lookup": steps.Lookup,
    "max_pool": steps.MaxPool,
    "average_pool": steps.AveragePool,
}

for _name, _type in _TYPES.items():
    register(type(f"Banded{_type.__name__}", (OnBands,), {"name": f"{_name}_bands", "step_type": _type}))
