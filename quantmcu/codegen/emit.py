"""Writes the C of a network: model.c, weights.h, and the kernels that it uses.

All decisions were made before: the kernels state what to call with which constants, the memory plan where everything
lies.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from quantmcu.codegen.kernel import Constant
from quantmcu.codegen.names import Names
from quantmcu.codegen.select import AnySelection, StageSelection, flat
from quantmcu.codegen.step_text import StepCode, StepText, load_code, step_code
from quantmcu.codegen.templates import environment
from quantmcu.memory.planner import MemoryPlan
from quantmcu.memory.timeline import Timeline
from quantmcu.program.program import Program
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
class SegmentText:
    """Steps that run one after another, the whole row `cells` times; the first has the number `first_step`."""

    identifier: str
    cells: int
    first_step: int
    steps: tuple[StepText, ...]

    @property
    def in_stage(self) -> bool:
        """Belongs to a patch stage."""
        return self.steps[0].in_stage


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


@dataclass(frozen=True, eq=False)
class EmittedModel:
    """The generated folder.

    Attributes:
        files: text by path: quantmcu.h, model.c, weights.h, kernels/*. Self-contained C11; of libc only memcpy and
        memset.
        stored: bytes of weights and tables in flash, by layer.
        heat: predicted cycles of one inference in which each source file of kernels/ takes part, by its name.
    """

    files: Mapping[str, str]
    stored: Mapping[str, int]
    heat: Mapping[str, float]

    @property
    def constant_bytes(self) -> int:
        """Bytes of weights and tables in flash."""
        return sum(self.stored.values())


def emit_model(
    program: Program, selections: Sequence[AnySelection], timeline: Timeline, plan: MemoryPlan
) -> EmittedModel:
    """The C of `program` with these kernels at these places."""
    names = Names(program, selections, plan)
    segments, codes = _segments(selections, names)
    patches = any(segment.in_stage for segment in segments)
    kernels = _kernel_files(codes, patches=patches)
    headers = {name for code in codes for low in code.lowered for name in low.headers}
    arrays = [_array(name, constant) for code in codes for name, constant in code.constants]
    arrays += [_constant_operand(program, name, identifier) for name, identifier in names.constants.items()]
    templates = environment()
    model = templates.get_template("model.c.j2").render(
        program=program,
        headers=sorted(headers | {"patches.h"} if patches else headers),
        regions=sorted(plan.region_bytes.items()),
        maps=names.map_texts(),
        scratch=names.scratch_texts([slot.name for slot in timeline.slots], selections),
        segments=segments,
        part_count=sum(segment.cells * len(segment.steps) for segment in segments),
        on_demand=bool(program.on_demand),
        inputs=[_port(program, names, n, i, program.input_layouts) for i, n in enumerate(program.inputs)],
        outputs=[_port(program, names, n, i, program.output_layouts) for i, n in enumerate(program.outputs)],
    )
    weights = templates.get_template("weights.h.j2").render(program=program, arrays=arrays)
    interface = (data_folder("firmware") / "runtime" / "quantmcu.h").read_text()
    files = {"quantmcu.h": interface, "model.c": model, "weights.h": weights} | kernels
    stored = _stored(selections, codes)
    stored.update({name: program.values[name].nbytes for name in names.constants})
    return EmittedModel(files, stored, _heat(selections, codes))


def _stored(selections: Sequence[AnySelection], codes: Sequence[StepCode]) -> Counter[str]:
    """Bytes of weights and tables by layer."""
    stored: Counter[str] = Counter()
    emitted = [selection for selection in flat(selections) if selection.kernel is not None]
    for selection, code in zip(emitted, codes, strict=True):
        nbytes = sum(constant.nbytes for _, constant in code.constants)
        stored[selection.step.layer or selection.step.name] += nbytes
    return stored


def _segments(selections: Sequence[AnySelection], names: Names) -> tuple[list[SegmentText], list[StepCode]]:
    """The steps in rows that repeat together, and their code."""
    segments: list[SegmentText] = []
    codes: list[StepCode] = []
    for item in selections:
        count = sum(len(segment.steps) for segment in segments)
        if isinstance(item, StageSelection):
            loads = [load_code(item, name, names) for name in item.stage.inputs]
            inner = [step_code(selection, names, item) for selection in item.selections]
            codes += inner
            texts = (*loads, *(code.text for code in inner))
            segments.append(SegmentText(f"stage_{len(segments) + 1}", len(item.stage.cells), count, texts))
        elif item.kernel is not None:
            code = step_code(item, names)
            codes.append(code)
            if segments and not segments[-1].in_stage:
                last = segments.pop()
                segments.append(SegmentText(last.identifier, 1, last.first_step, (*last.steps, code.text)))
            else:
                segments.append(SegmentText(f"layers_{len(segments) + 1}", 1, count, (code.text,)))
    return segments, codes


def _kernel_files(codes: Sequence[StepCode], *, patches: bool) -> dict[str, str]:
    """Text by path of all kernel sources and headers, with the headers that they include."""
    folder = data_folder("firmware") / "kernels"
    lowered = [low for code in codes for low in code.lowered]
    wanted = {name for low in lowered for name in (*low.headers, *low.sources) if name not in low.generated}
    if patches:
        wanted |= {"patches.h", "patches.c"}
    files = {f"kernels/{name}": (folder / name).read_text() for name in sorted(wanted)}
    for low in lowered:
        for name, text in low.generated.items():
            if files.setdefault(f"kernels/{name}", text) != text:
                raise ValueError(f"two steps generate different texts for kernels/{name}")
    waiting = list(files.values())
    while waiting:
        for name in _included(waiting.pop()):
            if f"kernels/{name}" not in files and (folder / name).is_file():
                files[f"kernels/{name}"] = (folder / name).read_text()
                waiting.append(files[f"kernels/{name}"])
    return dict(sorted(files.items()))


def _heat(selections: Sequence[AnySelection], codes: Sequence[StepCode]) -> dict[str, float]:
    heat: dict[str, float] = defaultdict(float)
    computing = [selection for selection in flat(selections) if selection.kernel is not None]
    for selection, code in zip(computing, codes, strict=True):
        files = {name for low in code.lowered for name in (*low.sources, *low.generated) if name.endswith(".c")}
        for name in files:
            heat[name] += selection.cycles
    return dict(sorted(heat.items()))


def _included(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.startswith('#include "'):
            yield line.split('"')[1]


def _constant_operand(program: Program, name: str, identifier: str) -> ArrayText:
    data = program.values[name].data
    assert data is not None
    return _array(identifier, Constant("", data, 8, f"constant operand {name}"))


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


def _port(program: Program, names: Names, name: str, index: int, layouts: Sequence[tuple[int, ...] | None]) -> PortText:
    value = program.values[name]
    layout = layouts[index] if index < len(layouts) else None
    note = f"axes {layout} of the ONNX model" if layout else ""
    scale = np.float32(value.qparams.scale if value.qparams else 1)
    zero_point = value.qparams.zero_point if value.qparams else 0
    text = np.format_float_scientific(scale, unique=True, trim="0")
    pointer = "NULL" if name in program.on_demand else names.pointer(name)
    return PortText(name, pointer, value.nbytes, value.bits, value.shape, f"{text}f", zero_point, note)
