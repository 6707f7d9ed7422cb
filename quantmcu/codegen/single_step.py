"""One step as a self-contained memory image: what a caller of its kernel lays out in memory, and the calls to make.

Kernel tests and benchmarks run single steps with it, on the host and on the emulated cores, without a project.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantmcu.codegen.kernel import Argument, Call, Input, Kernel, LoweredStep, Output, Reference, Scratch, StepContext
from quantmcu.emulator.function import CallResult, FunctionMachine
from quantmcu.program.program import Value
from quantmcu.resources import data_folder

_SIZES = {"int8_t": 1, "uint8_t": 1, "int16_t": 2, "uint16_t": 2, "int32_t": 4, "uint32_t": 4, "int64_t": 8}
_STRUCTURE = re.compile(r"typedef struct \{([^}]*)\} (\w+_params);")
_DECLARATION = re.compile(r"(?:const )?(\w+) ([^;]+);")
_DECLARATOR = re.compile(r"(\*?)(?:const )?(\w+)(?:\[(\w+)\])?$")
_NUMBER = re.compile(r"#define (\w+) (\d+)$", re.MULTILINE)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_FUNCTION = re.compile(r"^(?:void |#define FUNCTION )(qmcu_\w+)(?:\(|$)", re.MULTILINE)


@dataclass(frozen=True)
class Field:
    """A field of a parameter structure: its C type, whether it is a pointer, and its length when it is an array."""

    name: str
    type: str
    is_pointer: bool
    length: int | None


@dataclass(frozen=True)
class Pointer:
    """Address of byte `offset` of block `block`."""

    block: int
    offset: int = 0


@dataclass
class Block:
    """A piece of memory: its initial bytes and the pointers in it (offset in the block -> target)."""

    data: bytes
    pointers: dict[int, Pointer] = field(default_factory=dict)


@dataclass(frozen=True)
class FunctionCall:
    """A call of a C function with integers and pointers."""

    function: str
    arguments: tuple[int | Pointer, ...]


@dataclass
class StepImage:
    """Memory blocks of a step and the calls that compute it. The result is in block `output`."""

    blocks: list[Block]
    calls: list[FunctionCall]
    output: int


@cache
def structures() -> dict[str, tuple[Field, ...]]:
    """The parameter structures in the kernels' headers, by C name."""
    result: dict[str, tuple[Field, ...]] = {}
    texts = [_COMMENT.sub("", path.read_text()) for path in sorted(data_folder("firmware").glob("kernels/*.h"))]
    numbers: dict[str, int] = {name: int(number) for text in texts for name, number in _NUMBER.findall(text)}
    for text in texts:
        for body, name in _STRUCTURE.findall(text):
            fields = []
            for c_type, declarators in _DECLARATION.findall(body):
                for declarator in declarators.split(","):
                    match = _DECLARATOR.match(declarator.strip())
                    if match is None:
                        raise ValueError(f"{name}: the declaration {declarator.strip()!r} is not understood")
                    star, field_name, length = match.groups()
                    fields.append(Field(field_name, c_type, bool(star), _length(length, numbers)))
            result[name] = tuple(fields)
    return result


def kernel_sources() -> list[Path]:
    """All C sources of kernels."""
    return sorted(data_folder("firmware").glob("kernels/*.c"))


def kernel_functions(sources: Iterable[Path]) -> list[str]:
    """The kernels' C symbols defined in these sources."""
    return sorted(name for source in sources for name in _FUNCTION.findall(source.read_text()))


def pack_codes(value: Value, codes: NDArray[np.generic]) -> bytes:
    """The bytes of `codes` (unpacked, in the value's shape) as they lie in memory."""
    if value.bits >= 8:
        return bytes(np.ascontiguousarray(codes))
    per_byte = 8 // value.bits
    rows = codes.reshape(-1, codes.shape[-1]).astype(np.uint8)
    padded = np.pad(rows, ((0, 0), (0, value.row_bytes * per_byte - rows.shape[1])))
    shifts = np.arange(per_byte, dtype=np.uint8) * value.bits
    packed = (padded.reshape(len(rows), -1, per_byte) << shifts).sum(axis=-1)
    return bytes(packed.astype(np.uint8))


def unpack_codes(value: Value, data: bytes) -> NDArray[np.uint8] | NDArray[np.int32]:
    """The codes (or int32 indices) in the value's shape from their bytes in memory."""
    if value.bits == 32:
        return np.frombuffer(data, "<i4").reshape(value.shape)
    stored = np.frombuffer(data, np.uint8)
    if value.bits == 8:
        return stored.reshape(value.shape)
    shifts = np.arange(8 // value.bits, dtype=np.uint8) * value.bits
    codes = (stored[:, None] >> shifts) & value.highest_code
    return codes.reshape(*value.shape[:-1], -1)[..., : value.shape[-1]]


def build_image(
    kernel: Kernel,
    context: StepContext,
    inputs: Sequence[NDArray[np.generic]],
    pointer_bytes: int,
    in_place: int | None = None,
) -> StepImage:
    """Lays out a step for a machine with pointers of so many bytes.

    Args:
        inputs: the codes of each input, unpacked.
        in_place: index of the input whose memory the output takes over.

    Raises:
        ValueError: the lowered step does not fit its header: another field, or a constant that is not there.
    """
    lowered = kernel.lower(context)
    image = StepImage([], [], 0)
    input_blocks = []
    for value, codes in zip(context.inputs, inputs, strict=True):
        input_blocks.append(_add(image, pack_codes(value, codes)))
    if in_place is None:
        # What was in memory before must not matter.
        image.output = _add(image, b"\xa7" * context.output.nbytes)
    else:
        image.output = input_blocks[in_place]
        block = image.blocks[image.output]
        block.data += b"\xa7" * (context.output.nbytes - len(block.data))
    scratch = _add(image, b"\xa7" * kernel.scratch_bytes(context))
    constants = {c.suffix: _add(image, np.ascontiguousarray(c.data).tobytes()) for c in lowered.constants}
    for call in lowered.calls:
        arguments: list[int | Pointer] = []
        if call.structure:
            arguments.append(Pointer(_add_structure(image, call, constants, pointer_bytes)))
        arguments += [_argument(argument, input_blocks, image.output, scratch) for argument in call.arguments]
        image.calls.append(FunctionCall(call.function, tuple(arguments)))
    return image


def source_paths(lowered: LoweredStep, folder: Path) -> list[Path]:
    """The C and assembly files of a step; generated ones are written into `folder`."""
    kernels = data_folder("firmware") / "kernels"
    paths = [kernels / name for name in lowered.sources]
    for name, text in sorted(lowered.generated.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if path.suffix != ".h":
            paths.append(path)
    return paths


def run_on_machine(machine: FunctionMachine, image: StepImage) -> tuple[bytes, list[CallResult]]:
    """Runs a step on an emulated core whose ELF holds the kernels: the output's bytes, and one result a call.

    Raises:
        EmulatedFaultError: the kernel faults or leaves its buffers.
    """
    machine.free_all()
    addresses = [machine.allocate(block.data or 1, 8) for block in image.blocks]
    for address, block in zip(addresses, image.blocks, strict=True):
        for offset, target in block.pointers.items():
            machine.write(address + offset, struct.pack("<I", addresses[target.block] + target.offset))
    results = []
    for call in image.calls:
        arguments = [addresses[a.block] + a.offset if isinstance(a, Pointer) else a for a in call.arguments]
        results.append(machine.call(call.function, *arguments))
    return machine.read(addresses[image.output], len(image.blocks[image.output].data)), results


def _length(text: str | None, numbers: dict[str, int]) -> int | None:
    if text is None:
        return None
    return int(text) if text.isdigit() else numbers[text]


def _add(image: StepImage, data: bytes) -> int:
    image.blocks.append(Block(data))
    return len(image.blocks) - 1


def _argument(argument: Argument, inputs: list[int], output: int, scratch: int) -> int | Pointer:
    match argument:
        case Input(index, offset):
            return Pointer(inputs[index], offset)
        case Output(offset):
            return Pointer(output, offset)
        case Scratch(offset):
            return Pointer(scratch, offset)
        case _:
            return argument


def _add_structure(image: StepImage, call: Call, constants: dict[str, int], pointer_bytes: int) -> int:
    """Adds the block of a parameter structure, laid out by the C rules of natural alignment."""
    fields = structures().get(call.structure)
    if fields is None:
        raise ValueError(f"no header of firmware/kernels defines {call.structure}")
    if [f.name for f in fields] != list(call.fields):
        raise ValueError(f"{call.structure} has the fields {[f.name for f in fields]}, not {list(call.fields)}")
    data = bytearray()
    pointers: dict[int, Pointer] = {}
    largest = 1
    for f in fields:
        value = call.fields[f.name]
        size = pointer_bytes if f.is_pointer else _SIZES[f.type]
        largest = max(largest, size)
        data += bytes(-len(data) % size)
        if f.is_pointer:
            if isinstance(value, Reference):
                pointers[len(data)] = Pointer(constants[value.suffix])
            elif value != 0:
                raise ValueError(f"{call.structure}.{f.name} is a pointer: a Reference, or 0")
            data += bytes(size)
            continue
        entries = value if isinstance(value, tuple) else (value,)
        if any(not isinstance(entry, int) for entry in entries) or len(entries) != (f.length or 1):
            raise ValueError(f"{call.structure}.{f.name} takes {f.length or 1} integers, not {value!r}")
        for entry in entries:
            assert isinstance(entry, int)
            data += int(entry).to_bytes(size, "little", signed=not f.type.startswith("u"))
    data += bytes(-len(data) % largest)
    block = _add(image, bytes(data))
    image.blocks[block].pointers = pointers
    return block
