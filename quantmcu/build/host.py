"""A compiled network built by the host's C compiler: the same C as the firmware's, run on this machine."""

from __future__ import annotations

import ctypes
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from numpy.typing import NDArray

from quantmcu.build.host_compiler import (
    SANITIZE,
    HostCompiler,
    find_host_compiler,
    find_sanitizing_compiler,
    sanitizer_environment,
)
from quantmcu.device.session import DeviceSession
from quantmcu.device.transport import ProcessTransport
from quantmcu.errors import ToolError, UsageError
from quantmcu.packing import Codes
from quantmcu.resources import data_folder
from quantmcu.runner import RunnerInfo, TensorInfo, pack_inputs

MAXIMUM_RANK = 6


class _Tensor(ctypes.Structure):
    """`quantmcu_tensor` of quantmcu.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("bytes", ctypes.c_size_t),
        ("bits", ctypes.c_uint8),
        ("rank", ctypes.c_uint8),
        ("shape", ctypes.c_int32 * MAXIMUM_RANK),
        ("scale", ctypes.c_float),
        ("zero_point", ctypes.c_int32),
    )


class _Model(ctypes.Structure):
    """`quantmcu_model` of quantmcu.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("sha256", ctypes.c_char_p),
        ("input_count", ctypes.c_size_t),
        ("output_count", ctypes.c_size_t),
        ("step_count", ctypes.c_size_t),
        ("step_names", ctypes.POINTER(ctypes.c_char_p)),
        ("part_count", ctypes.c_size_t),
        ("arena_bytes", ctypes.c_size_t),
    )


class _Rectangle(ctypes.Structure):
    """`quantmcu_rectangle` of quantmcu.h."""

    _fields_ = tuple((name, ctypes.c_uint32) for name in ("row", "column", "rows", "columns"))


_Reader = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(_Rectangle), ctypes.c_void_p)


class HostModel:
    """The generated C of a network as a shared library in this process; a Runner (quantmcu/runner.py).

    Args:
        files: the generated folder (`src/model/` of a project), or its files as {relative path: contents}.
        optimize: the compiler's optimization flag.
        compiler: None finds one (quantmcu/build/host_compiler.py).

    Raises:
        ToolError: no compiler, or the code does not compile or load.
    """

    def __init__(
        self, files: Path | Mapping[str, str | bytes], optimize: str = "-O2", compiler: HostCompiler | None = None
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="quantmcu-host-", ignore_cleanup_errors=True)
        try:
            compiler = compiler or find_host_compiler()
            work = Path(self._temporary.name)
            source = _written(files, work)
            library = work / ("model.dll" if sys.platform == "win32" else "model.so")
            compiler.compile(c_files(source), [source], library, [optimize, "-shared", "-fPIC"])
            self._path = library
            self._readers: dict[int, Any] = {}
            self._failures: list[ToolError] = []
            self._library = _load(library)
            self._info = self._read_info(f"host ({compiler.name} {optimize})")
        except BaseException:
            self._temporary.cleanup()
            raise

    def close(self) -> None:
        """Removes the temporary folder. The loaded code stays until the process ends."""
        self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    @property
    def info(self) -> RunnerInfo:
        """See Runner."""
        return self._info

    @property
    def steps(self) -> tuple[str, ...]:
        """Names of the network's steps."""
        return tuple(self._model.step_names[step].decode() for step in range(self._model.step_count))

    @property
    def arena_bytes(self) -> int:
        """Static memory of feature maps and scratch."""
        return int(self._model.arena_bytes)

    def infer(self, inputs: Sequence[Codes]) -> list[Codes]:
        """One inference. See Runner."""
        self.load_inputs(inputs)
        self._library.quantmcu_run()
        if self._failures:
            raise self._failures.pop()
        return self.read_outputs()

    def load_inputs(self, inputs: Sequence[Codes]) -> None:
        """Fills the input buffers, which a run overwrites.

        Raises:
            UsageError: the inputs do not fit the network.
        """
        for index, data in enumerate(pack_inputs(self._info.inputs, inputs)):
            tensor = self._library.quantmcu_input(index).contents
            if self._info.inputs[index].on_demand:
                self._deliver(index, data)
            else:
                ctypes.memmove(tensor.data, data, len(data))

    def _deliver(self, index: int, data: bytes) -> None:
        """Lets the network ask for the parts of an input on demand."""
        info = self._info.inputs[index]

        def read(context: int, part: Any, target: int) -> None:
            wanted = part.contents
            try:
                rectangle = info.rectangle(data, wanted.row, wanted.column, wanted.rows, wanted.columns)
            except ToolError as error:  # C code can't pass it on
                self._failures = [error]
            else:
                ctypes.memmove(target, rectangle, len(rectangle))

        self._readers[index] = _Reader(read)  # kept alive for as long as the network may call it
        self._library.quantmcu_set_reader(index, self._readers[index], None)

    @property
    def part_count(self) -> int:
        """Parts of a run: one for each step, in a patch stage one for each step and patch."""
        return int(self._model.part_count)

    def part_step(self, part: int) -> int:
        """The step that a part belongs to."""
        return int(self._library.quantmcu_part_step(part))

    def run_part(self, part: int) -> None:
        """Runs one part; all in order make a run.

        Raises:
            UsageError: there is no such part.
        """
        if not 0 <= part < self._model.part_count:
            raise UsageError("no such part", str(part), f"a run has {self._model.part_count} parts")
        self._library.quantmcu_run_part(part)

    def read_outputs(self) -> list[Codes]:
        """Unpacked contents of the output buffers."""
        outputs = []
        for index, info in enumerate(self._info.outputs):
            tensor = self._library.quantmcu_output(index).contents
            outputs.append(info.unpack(ctypes.string_at(tensor.data, info.byte_count)))
        return outputs

    def memory(self, symbol: str) -> NDArray[np.uint8]:
        """Bytes of a static C object, such as an arena: a view, for reading and writing. On ELF systems (Linux) only.

        Raises:
            UsageError: the network has no such object.
            ToolError: the library is no ELF file.
        """
        offset, size = _object_place(self._path, symbol)
        model_offset, _ = _object_place(self._path, "quantmcu_model_info")
        address = ctypes.addressof(self._model) - model_offset + offset
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))

    def _read_info(self, runner: str) -> RunnerInfo:
        library = self._library
        library.quantmcu_init.restype = None
        library.quantmcu_run.restype = None
        library.quantmcu_run_part.restype = None
        library.quantmcu_run_part.argtypes = [ctypes.c_size_t]
        library.quantmcu_part_step.restype = ctypes.c_size_t
        library.quantmcu_part_step.argtypes = [ctypes.c_size_t]
        library.quantmcu_set_reader.restype = None
        library.quantmcu_set_reader.argtypes = [ctypes.c_size_t, _Reader, ctypes.c_void_p]
        for function in (library.quantmcu_input, library.quantmcu_output):
            function.restype = ctypes.POINTER(_Tensor)
            function.argtypes = [ctypes.c_size_t]
        self._model = _Model.in_dll(library, "quantmcu_model_info")
        library.quantmcu_init()
        inputs = tuple(_info(library.quantmcu_input(i).contents, runner) for i in range(self._model.input_count))
        outputs = tuple(_info(library.quantmcu_output(i).contents, runner) for i in range(self._model.output_count))
        return RunnerInfo(runner, self._model.name.decode(), self._model.sha256.decode(), inputs, outputs)


class SanitizedModel:
    """The generated C under AddressSanitizer and UndefinedBehaviorSanitizer; a Runner (quantmcu/runner.py).

    A process of its own, since AddressSanitizer must be there from a program's start: the firmware harness on the POSIX
    port, asked over its standard input and output as a board is over its serial port.

    Args:
        files: as of HostModel.
        optimize: the compiler's optimization flag; with optimization, sanitized code compiles three times as long.
        run_timeout: seconds that one run may take.

    Raises:
        ToolError: no compiler here has working sanitizers, or the code does not compile; in `infer`, also with the
            sanitizer's report as the reason.
    """

    def __init__(
        self, files: Path | Mapping[str, str | bytes], optimize: str = "-O0", run_timeout: float = 120.0
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="quantmcu-sanitized-", ignore_cleanup_errors=True)
        try:
            compiler = find_sanitizing_compiler()
            work = Path(self._temporary.name)
            program = build_native_harness(files, work, compiler, [optimize, *SANITIZE])
            where = f"host ({compiler.name} {optimize}, sanitizers)"
            transport = ProcessTransport([str(program)], sanitizer_environment())
            self._session = DeviceSession(transport, where, run_timeout=run_timeout)
        except BaseException:
            self._temporary.cleanup()
            raise

    def close(self) -> None:
        """Ends the process."""
        self._session.close()
        self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    @property
    def info(self) -> RunnerInfo:
        """See Runner."""
        return self._session.info

    def infer(self, inputs: Sequence[Codes]) -> list[Codes]:
        """One inference. See Runner."""
        return self._session.infer(inputs)


def build_native_harness(
    files: Path | Mapping[str, str | bytes], work: Path, compiler: HostCompiler, flags: Sequence[str]
) -> Path:
    """A program in the folder `work`: the network with the firmware harness on the POSIX port.

    Raises:
        ToolError: it does not compile, or this machine is no POSIX system.
    """
    if sys.platform == "win32":
        raise ToolError("the firmware harness runs natively on POSIX systems only", "Windows", hint="use WSL")
    firmware = data_folder("firmware")
    source = _written(files, work)
    sources = [*c_files(source), *sorted((firmware / "harness").glob("*.c")), firmware / "ports" / "posix.c"]
    program = work / "harness"
    compiler.compile(sources, [source, firmware / "ports", firmware / "harness"], program, flags)
    return program


def c_files(folder: Path) -> list[Path]:
    """All C files below `folder`, in order of their names."""
    return sorted(folder.rglob("*.c"))


def _written(files: Path | Mapping[str, str | bytes], work: Path) -> Path:
    """The folder that holds `files`; a new one in `work` when they are given as a mapping."""
    if isinstance(files, Path):
        if not files.is_dir():
            raise UsageError("there is no such folder with generated C", str(files))
        return files
    source = work / "source"
    for name, contents in files.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    return source


def _load(library: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise ToolError("the compiled network cannot be loaded", library.name, str(error)) from error


def _object_place(library: Path, symbol: str) -> tuple[int, int]:
    """Address, as linked, and size of a C object."""
    try:
        with library.open("rb") as stream:
            table = ELFFile(stream).get_section_by_name(".symtab")
            found = table.get_symbol_by_name(symbol) if isinstance(table, SymbolTableSection) else None
    except ELFError as error:
        raise ToolError("memory can be looked at on ELF systems only", library.name, str(error)) from error
    if not found:
        raise UsageError("the compiled network has no such object", symbol)
    return int(found[0]["st_value"]), int(found[0]["st_size"])


def _info(tensor: _Tensor, runner: str) -> TensorInfo:
    shape = tuple(tensor.shape[: tensor.rank])
    name, on_demand = tensor.name.decode(), not tensor.data
    info = TensorInfo(name, tensor.bits, shape, tensor.bytes, tensor.scale, tensor.zero_point, on_demand)
    info.check(runner)
    return info
