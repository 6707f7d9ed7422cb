"""Writes the C of a network: model.c, weights.h, and the kernels that it uses.

All decisions were made before: the kernels state what to call with which constants, the memory plan where everything lies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from quantmcu.codegen.identifiers import c_identifiers
from quantmcu.codegen.kernel import Argument, Call, Constant, FieldValue, Input, LoweredStep, Output, Reference, Scratch
from quantmcu.codegen.select import Selection
from quantmcu.codegen.templates import c_comment, environment
from quantmcu.memory.planner import MemoryPlan, Placement
from quantmcu.program.macs import step_macs
from quantmcu.program.program import Program, Value
from quantmcu.resources import data_folder

_C_TYPES = {
    np.dtype(kind): f"{kind}_t" for kind in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
}
_COLUMNS = {1: 24, 2: 16, 4: 10, 8: 5}


@dataclass(frozen=True)
class ArrayText:
    """A constant array of weights.h."""

    name: str
    ctype: str
    length: int
    align: int
    comment: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class MapText:
    """A named place in an arena."""

    macro: str
    place: str
    comment: str


@dataclass(frozen=True)
class CallText:
    """One call in a step's function."""

    function: str
    structure: str
    fields: tuple[tuple[str, str], ...]
    arguments: str


@dataclass(frozen=True)
class StepText:
    """A step's function."""

    identifier: str
    name: str
    title: str
    calls: tuple[CallText, ...]


@dataclass(frozen=True)
class PortText:
    """Descriptor of an input or output."""

    name: str
    pointer: str
    nbytes: int
    bits: int
    shape: tuple[int, ...]
    scale: str
    zero_point: int
    note: str


def emit_model(program: Program, selections: Sequence[Selection], plan: MemoryPlan) -> dict[str, str]:
    """The files of the generated folder by path: quantmcu.h, model.c, weights.h, kernels/*.

    The folder is self-contained C11: it needs no PlatformIO, no heap, and of libc only memcpy and memset.
    """
    return _Emitter(program, selections, plan).files()


class _Emitter:
    def __init__(self, program: Program, selections: Sequence[Selection], plan: MemoryPlan) -> None:
        self.program = program
        self.plan = plan
        self.running = [(i, s) for i, s in enumerate(selections) if s.kernel is not None]
        self.lowered: dict[int, LoweredStep] = {
            i: s.kernel.lower(s.context) for i, s in self.running if s.kernel is not None
        }
        self.places = plan.value_placements()
        self.scratch = plan.scratch_placements()
        self.step_ids = c_identifiers(
            {step.name: f"{type(step).__name__}_{index}" for index, step in enumerate(program.steps)}
        )
        stored = [name for name in program.values if name in self.places]
        writers = {step.output: self.step_ids[step.name] for step in program.steps}
        maps = c_identifiers({name: writers.get(name, f"input_{i}") for i, name in enumerate(stored)}, prefer=writers)
        self.map_macros = {name: f"MAP_{maps[name].upper()}" for name in stored}
        constants = [value.name for value in program.values.values() if value.data is not None]
        ids = c_identifiers({name: str(i) for i, name in enumerate(constants)})
        self.constant_ids = {name: f"constant_{ids[name]}" for name in constants}

    def files(self) -> dict[str, str]:
        """Paths and texts."""
        templates = environment()
        kernels = self._kernel_files()
        headers = sorted({name for low in self.lowered.values() for name in low.headers})
        model = templates.get_template("model.c.j2").render(
            program=self.program,
            headers=headers,
            regions=[(name, size) for name, size in sorted(self.plan.region_bytes.items())],
            maps=[self._map(self.program.values[name]) for name in self.map_macros],
            scratch=[self._scratch_map(index) for index in sorted(self.scratch)],
            steps=[self._step(index, selection) for index, selection in self.running],
            inputs=[self._port(i, n, self.program.input_layouts) for i, n in enumerate(self.program.inputs)],
            outputs=[self._port(i, n, self.program.output_layouts) for i, n in enumerate(self.program.outputs)],
        )
        weights = templates.get_template("weights.h.j2").render(program=self.program, arrays=self._arrays())
        interface = (data_folder("firmware") / "runtime" / "quantmcu.h").read_text()
        return {"quantmcu.h": interface, "model.c": model, "weights.h": weights} | kernels

    def _kernel_files(self) -> dict[str, str]:
        folder = data_folder("firmware") / "kernels"
        names = sorted({name for low in self.lowered.values() for name in (*low.headers, *low.sources)})
        files = {f"kernels/{name}": (folder / name).read_text() for name in names}
        for low in self.lowered.values():
            for name, text in low.generated.items():
                path = f"kernels/{name}"
                if files.setdefault(path, text) != text:
                    raise ValueError(f"two steps generate different texts for {path}")
        return _with_includes(files)

    # Names and places

    def _address(self, place: Placement, offset: int = 0) -> str:
        return f"&arena_{place.region}[{place.offset + offset}]"

    def _map(self, value: Value) -> MapText:
        shape = "x".join(str(size) for size in value.shape)
        comment = c_comment(f"{shape}, {value.bits} bit: {value.name}")
        return MapText(self.map_macros[value.name], self._address(self.places[value.name]), comment)

    def _scratch_map(self, index: int) -> MapText:
        step = self.program.steps[index]
        macro = f"SCRATCH_{self.step_ids[step.name].upper()}"
        nbytes = next(b.nbytes for b in self.plan.buffers if b.scratch_of == index)
        return MapText(macro, self._address(self.scratch[index]), f"{nbytes} bytes")

    def _value_pointer(self, name: str, offset: int = 0) -> str:
        if name in self.constant_ids:
            base = self.constant_ids[name]
        else:
            base = self.map_macros[name]
        return f"{base} + {offset}" if offset else base

    def _argument(self, index: int, argument: Argument) -> str:
        step = self.program.steps[index]
        match argument:
            case Input(position, offset):
                return self._value_pointer(step.inputs[position], offset)
            case Output(offset):
                return self._value_pointer(step.output, offset)
            case Scratch(offset):
                base = f"SCRATCH_{self.step_ids[step.name].upper()}"
                return f"{base} + {offset}" if offset else base
            case int():
                return str(argument)

    # Texts

    def _step(self, index: int, selection: Selection) -> StepText:
        step, kernel = selection.context.step, selection.kernel
        assert kernel is not None
        sources = ", ".join("x".join(map(str, value.shape)) for value in selection.context.inputs)
        target = "x".join(map(str, selection.context.output.shape))
        macs = step_macs(step, selection.context.output)
        title = f"{step.name}: {type(step).__name__} {sources} -> {target}"
        title += f", {macs} MACs" if macs else ""
        calls = tuple(self._call(index, call) for call in self.lowered[index].calls)
        return StepText(self.step_ids[step.name], step.name, c_comment(f"{title}, kernel {kernel.name}"), calls)

    def _call(self, index: int, call: Call) -> CallText:
        prefix = self.step_ids[self.program.steps[index].name]
        fields = tuple((name, _field(prefix, value)) for name, value in call.fields.items())
        arguments = ", ".join(self._argument(index, argument) for argument in call.arguments)
        return CallText(call.function, call.structure, fields, arguments)

    def _arrays(self) -> list[ArrayText]:
        arrays = [
            _array(f"{self.step_ids[self.program.steps[index].name]}_{constant.suffix}", constant)
            for index in sorted(self.lowered)
            for constant in self.lowered[index].constants
        ]
        for name, identifier in self.constant_ids.items():
            value = self.program.values[name]
            assert value.data is not None
            arrays.append(_array(identifier, Constant("", value.data, 8, f"constant operand {name}")))
        return arrays

    def _port(self, index: int, name: str, layouts: Sequence[tuple[int, ...] | None]) -> PortText:
        value = self.program.values[name]
        layout = layouts[index] if index < len(layouts) else None
        note = f"axes {layout} of the ONNX model" if layout else ""
        scale = np.float32(value.qparams.scale if value.qparams else 1)
        zero_point = value.qparams.zero_point if value.qparams else 0
        text = np.format_float_scientific(scale, unique=True, trim="0")
        return PortText(
            name, self._value_pointer(name), value.nbytes, value.bits, value.shape, f"{text}f", zero_point, note
        )


def _field(prefix: str, value: FieldValue) -> str:
    match value:
        case Reference(suffix):
            return f"{prefix}_{suffix}"
        case tuple():
            return "{" + ", ".join(str(int(v)) for v in value) + "}"
        case _:
            number = int(value)
            return "INT32_MIN" if number == -(2**31) else str(number)


def _array(name: str, constant: Constant) -> ArrayText:
    data = np.ascontiguousarray(constant.data).reshape(-1)
    texts = [_literal(v, data.dtype) for v in data.tolist()]
    columns = _COLUMNS[data.dtype.itemsize]
    lines = tuple(", ".join(texts[i : i + columns]) + "," for i in range(0, len(texts), columns))
    return ArrayText(name, _C_TYPES[data.dtype], len(texts), constant.align, constant.comment, lines)


def _literal(value: int, dtype: np.dtype[np.generic]) -> str:
    if dtype == np.uint32:
        return f"0x{value:08x}u"
    if dtype == np.int32 and value == -(2**31):
        return "INT32_MIN"
    return str(value)


def _with_includes(files: Mapping[str, str]) -> dict[str, str]:
    """Adds the kernel headers that the files include, directly or through others."""
    folder = data_folder("firmware") / "kernels"
    result = dict(files)
    waiting = list(files.values())
    while waiting:
        for line in waiting.pop().splitlines():
            if line.startswith('#include "'):
                name = line.split('"')[1]
                path = f"kernels/{name}"
                if path not in result and (folder / name).is_file():
                    result[path] = (folder / name).read_text()
                    waiting.append(result[path])
    return dict(sorted(result.items()))
