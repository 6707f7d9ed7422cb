"""Runs one kernel on one step: compiled for this computer (with sanitizers), or on an emulated core.

    run_on_host(kernel, context, [codes])             -> output codes
    run_on_core(kernel, context, [codes], "gcc")      -> output codes, cycles, stack

Both check the result against the reference with `check`.
"""

from __future__ import annotations

import atexit
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantmcu.build.stack import StackAnalysis
from quantmcu.codegen.kernel import Core, Kernel, StepContext
from quantmcu.codegen.registry import all_kernels
from quantmcu.codegen.single_step import (
    Pointer,
    StepImage,
    build_image,
    kernel_functions,
    kernel_sources,
    run_on_machine,
    source_paths,
    unpack_codes,
)
from quantmcu.emulator.function import CallResult, FunctionMachine
from quantmcu.emulator.objects import compile_for_core
from quantmcu.emulator.timing import CycleModel
from quantmcu.ir.tensor import QParams
from quantmcu.program.program import Value
from quantmcu.program.steps import Step
from quantmcu.reference import execute_step
from quantmcu.resources import data_folder
from tests.once import made_once

Codes = NDArray[np.uint8]

CORTEX_M0 = Core("cortex-m0plus", has_dsp=False, has_fpu=False)
CORTEX_M4 = Core("cortex-m4", has_dsp=True, has_fpu=True)
CORTEX_M7 = Core("cortex-m7", has_dsp=True, has_fpu=True)

# memcpy and memset as the firmware brings them.
MEMORY_FUNCTIONS = data_folder("firmware") / "ports" / "libc" / "string.c"

WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-Wconversion")


def context_for(
    step: Step,
    input_shapes: Sequence[tuple[int, ...]],
    output_shape: tuple[int, ...],
    core: Core = CORTEX_M7,
    bits: int = 8,
) -> StepContext:
    """A step with values of these shapes around it."""
    qparams = QParams(8, 1.0, 0)
    inputs = tuple(Value(f"in{i}", shape, 8, qparams) for i, shape in enumerate(input_shapes))
    return StepContext(step, inputs, Value("out", output_shape, bits, qparams if bits <= 8 else None), core)


def kernel_named(name: str) -> Kernel:
    """The registered kernel of this name."""
    return next(kernel for kernel in all_kernels() if kernel.name == name)


def packed_maps_only(name: str) -> bool:
    """Whether a kernel computes nothing but maps below 8 bits; these have tests of their own."""
    return "packed" in name or name.endswith("_bands")


def shared_kernels_of_bytes() -> list[str]:
    """Names of the kernels on maps of 8 bits that are not generated for a shape."""
    return [k.name for k in all_kernels() if "generated" not in k.name and not packed_maps_only(k.name)]


@cache
def _objects(flags: tuple[str, ...]) -> list[Path]:
    """The kernels that are not generated, compiled once."""
    command = [*host_compiler(), "-std=c11", *flags, "-c", *map(str, kernel_sources())]
    folder = made_once(" ".join(command), lambda folder: subprocess.run(command, cwd=folder, check=True))
    return sorted(folder.glob("*.o"))


class HostServer:
    """The kernels compiled for this computer, in a process of its own."""

    def __init__(self, flags: Sequence[str], extra_sources: Sequence[Path] = ()) -> None:
        self.functions = kernel_functions([*kernel_sources(), *extra_sources])
        table = " ".join(f"X({name})" for name in self.functions)
        self._folder = tempfile.TemporaryDirectory(prefix="quantmcu-kernels-")
        program = Path(self._folder.name) / "server"
        server = Path(__file__).with_name("host_server.c")
        subprocess.run(
            [*host_compiler(), "-std=c11", *flags, f"-I{kernel_sources()[0].parent}", f"-DKERNEL_FUNCTIONS={table}",
             "-o", str(program), *map(str, (server, *extra_sources, *_objects(tuple(flags))))],
            check=True,
        )  # fmt: skip
        self._errors = Path(self._folder.name) / "errors"
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
            )
        atexit.register(self.close)

    def run(self, image: StepImage) -> bytes:
        """The bytes of the output block after the image's calls."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(self._encode(image))
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        size = len(image.blocks[image.output].data)
        result = self._process.stdout.read(size)
        if len(result) != size or self._process.poll() is not None:
            self._process.wait()
            raise AssertionError(f"the kernel server died:\n{self._errors.read_text()[:4000]}")
        return result

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def _encode(self, image: StepImage) -> bytes:
        parts = [struct.pack("<2q", len(image.blocks), image.output)]
        for block in image.blocks:
            parts += [struct.pack("<q", len(block.data)), block.data]
        pointers = [
            (i, offset, t.block, t.offset) for i, b in enumerate(image.blocks) for offset, t in b.pointers.items()
        ]
        parts.append(struct.pack("<q", len(pointers)))
        parts += [struct.pack("<4q", *pointer) for pointer in pointers]
        parts.append(struct.pack("<q", len(image.calls)))
        for call in image.calls:
            parts.append(struct.pack("<2q", self.functions.index(call.function), len(call.arguments)))
            for argument in call.arguments:
                pair = (argument.block, argument.offset) if isinstance(argument, Pointer) else (-1, argument)
                parts.append(struct.pack("<2q", *pair))
        return b"".join(parts)


def host_compiler() -> list[str]:
    """A C compiler for this computer: GCC or clang on the path, else zig."""
    for name in ("gcc", "clang", "cc"):
        if shutil.which(name):
            return [name]
    return [sys.executable, "-m", "ziglang", "cc"]


def sanitizer_flags() -> list[str]:
    """AddressSanitizer and UndefinedBehaviorSanitizer; zig brings only the latter. Optimized, they compile for long."""
    sanitizers = "undefined" if "ziglang" in host_compiler() else "address,undefined"
    return ["-O0", "-g", f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all"]


@cache
def host_server() -> HostServer:
    """The kernels that are not generated, under sanitizers."""
    return HostServer(sanitizer_flags())


@contextmanager
def generated_sources(kernel: Kernel, contexts: Sequence[StepContext]) -> Iterator[list[Path]]:
    """All sources of these steps; generated ones in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="quantmcu-kernels-") as name:
        yield sorted({path for context in contexts for path in source_paths(kernel.lower(context), Path(name))})


def check_on_host(kernel: Kernel, cases: Sequence[tuple[StepContext, Sequence[Codes]]]) -> None:
    """Compiles what is generated for all steps at once, and compares each with the reference, in place too."""
    with generated_sources(kernel, [context for context, _ in cases]) as sources:
        server = HostServer(sanitizer_flags(), [path for path in sources if path not in kernel_sources()])
        for context, inputs in cases:
            for in_place in (None, *kernel.in_place_inputs(context)):
                image = build_image(kernel, context, inputs, struct.calcsize("P"), in_place)
                check(context, inputs, _output(context, server.run(image)))
        server.close()


def check_on_core(
    kernel: Kernel,
    core: Core,
    cases: Sequence[tuple[StepContext, Sequence[Codes]]],
    compiler: str = "gcc",
    guard: bool = True,
    flags: tuple[str, ...] = ("-O2",),
    model: CycleModel | str = "core",
) -> list[CoreRun]:
    """The same on an emulated core; the runs that are not in place."""
    include = (f"-I{kernel_sources()[0].parent}", f"-I{MEMORY_FUNCTIONS.parent}")
    with generated_sources(kernel, [context for context, _ in cases]) as sources:
        elf = compile_for_core([*sources, MEMORY_FUNCTIONS], core.name, (*flags, "-g", *WARNINGS, *include), compiler)
    stack = StackAnalysis(elf)
    emulated = FunctionMachine(elf, core.name, model=model, guard=guard, aligned=guard)
    runs = []
    for context, inputs in cases:
        for in_place in (None, *kernel.in_place_inputs(context)):
            image = build_image(kernel, context, inputs, 4, in_place)
            data, results = run_on_machine(emulated, image)
            run = _core_run(context, data, results)
            check(context, inputs, run.output)
            assert run.stack_bytes <= max(stack.need_of(call.function).nbytes for call in image.calls)
            if in_place is None:
                runs.append(run)
    return runs


@cache
def machine(core: str, compiler: str, guard: bool, flags: tuple[str, ...], sources: tuple[str, ...]) -> FunctionMachine:
    """An emulated core with these sources of firmware/kernels in flash."""
    kernels = data_folder("firmware") / "kernels"
    paths = [*(kernels / name for name in sources), MEMORY_FUNCTIONS]
    all_flags = (*flags, "-g", *WARNINGS, f"-I{MEMORY_FUNCTIONS.parent}")

    def build(folder: Path) -> None:
        (folder / "kernels.elf").write_bytes(compile_for_core(paths, core, all_flags, compiler))

    folder = made_once(f"kernels {core} {compiler} {all_flags} {sources}", build)
    return FunctionMachine(folder / "kernels.elf", core, guard=guard, aligned=guard)


@cache
def stack_of(emulated: FunctionMachine) -> StackAnalysis:
    """How much stack its functions need."""
    return StackAnalysis(emulated.elf.data)


def run_on_host(kernel: Kernel, context: StepContext, inputs: Sequence[Codes], in_place: int | None = None) -> Codes:
    """Output codes of the kernel compiled for this computer, under sanitizers."""
    image = build_image(kernel, context, inputs, pointer_bytes=struct.calcsize("P"), in_place=in_place)
    return _output(context, host_server().run(image))


@dataclass(frozen=True)
class CoreRun:
    """What a kernel did on an emulated core."""

    output: Codes
    cycles: int
    instructions: int
    stack_bytes: int


def run_on_core(
    kernel: Kernel,
    context: StepContext,
    inputs: Sequence[Codes],
    compiler: str = "gcc",
    in_place: int | None = None,
    guard: bool = True,
    flags: tuple[str, ...] = ("-O2",),
) -> CoreRun:
    """Runs the kernel on the context's core; with `guard`, accesses outside of its buffers, or unaligned ones, fail."""
    if kernel.lower(context).generated:
        raise ValueError("check_on_core compiles what is generated")
    emulated = machine(context.core.name, compiler, guard, flags, kernel.lower(context).sources)
    data, results = run_on_machine(emulated, build_image(kernel, context, inputs, pointer_bytes=4, in_place=in_place))
    return _core_run(context, data, results)


def check(context: StepContext, inputs: Sequence[Codes], output: Codes) -> None:
    """Fails unless the output equals the reference, byte for byte."""
    expected = execute_step(context.step, list(inputs), context.output.shape)
    np.testing.assert_array_equal(output, expected)


def _core_run(context: StepContext, data: bytes, results: Sequence[CallResult]) -> CoreRun:
    return CoreRun(
        _output(context, data),
        sum(result.cycles for result in results),
        sum(result.instructions for result in results),
        max((result.stack_bytes for result in results), default=0),
    )


def _output(context: StepContext, data: bytes) -> Codes:
    # In place, the block may be larger than the output.
    return unpack_codes(context.output, data[: context.output.nbytes])
