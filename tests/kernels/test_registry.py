"""Every registered kernel keeps its promises: symbols, parameter structures, warnings, the reference."""

from __future__ import annotations

import struct
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import HealthCheck, Phase, find, settings
from kernel_cases import Case
from kernel_driver import (
    CORTEX_M7,
    WARNINGS,
    HostServer,
    check,
    context_for,
    host_compiler,
    kernel_named,
    packed_maps_only,
    sanitizer_flags,
)
from kernel_steps import steps_for
from packed_cases import context_of, narrow_cases

from quantmcu.codegen.kernel import Core, LoweredStep, StepContext
from quantmcu.codegen.registry import all_kernels
from quantmcu.codegen.single_step import build_image, kernel_functions, kernel_sources, source_paths, unpack_codes

KERNELS = [kernel.name for kernel in all_kernels()]
quietly = settings(
    max_examples=500,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@cache
def example(name: str, core: Core = CORTEX_M7) -> tuple[StepContext, Case]:
    """A random step that the kernel computes, of more than eight elements."""
    kernel = kernel_named(name)
    packed = packed_maps_only(name)

    def context(drawn: Any) -> StepContext:
        if packed:
            return context_of(*drawn, core)
        return context_for(drawn.step, drawn.input_shapes, drawn.output_shape, core, drawn.output_bits)

    def fits(drawn: Any) -> bool:
        return context(drawn).inputs[0].elements > 8 and kernel.unsupported(context(drawn)) is None

    drawn = find(narrow_cases(kernel) if packed else steps_for(kernel), fits, settings=quietly)
    return context(drawn), drawn[0] if packed else drawn


def lowered(name: str) -> LoweredStep:
    return kernel_named(name).lower(example(name)[0])


@pytest.mark.parametrize("name", KERNELS)
def test_every_call_has_its_symbol_and_its_structure(name: str, tmp_path: Path) -> None:
    context, case = example(name)
    step = lowered(name)
    defined = kernel_functions(source_paths(step, tmp_path))
    assert {call.function for call in step.calls} <= set(defined)
    for pointer_bytes in (4, 8):  # checks fields against the structure in the header
        build_image(kernel_named(name), context, case.codes, pointer_bytes)


@cache
def symbols() -> dict[str, tuple[set[str], set[str]]]:
    """Symbols that each source file, generated ones of the examples included, defines and needs; by file name.

    Each is compiled alone for this computer, any warning is an error.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = sorted({path for kernel in KERNELS for path in source_paths(lowered(kernel), folder / "generated")})
        includes = [f"-I{folder / 'generated'}", f"-I{kernel_sources()[0].parent}"]
        command = [*host_compiler(), *WARNINGS, "-O1", "-ffreestanding", *includes, "-c", *map(str, sources)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return {path.with_suffix(".c").name: _symbols_of(path) for path in folder.glob("*.o")}


def _symbols_of(path: Path) -> tuple[set[str], set[str]]:
    with path.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        both: tuple[set[str], set[str]] = (set(), set())
        for symbol in table.iter_symbols():
            if symbol["st_info"]["bind"] == "STB_GLOBAL":
                both[symbol["st_shndx"] == "SHN_UNDEF"].add(symbol.name)
        return both


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads ELF files")
@pytest.mark.parametrize("name", KERNELS)
def test_its_sources_suffice_to_link(name: str, tmp_path: Path) -> None:
    step = lowered(name)
    files = [path.name for path in source_paths(step, tmp_path)]
    defined = set().union(*(symbols()[file][0] for file in files))
    needed = set().union(*(symbols()[file][1] for file in files)) | {call.function for call in step.calls}
    assert needed - defined <= {"memcpy", "memset", "memmove", "_GLOBAL_OFFSET_TABLE_"}


@cache
def server() -> HostServer:
    """All kernels, with what is generated for the examples."""
    with tempfile.TemporaryDirectory() as folder:
        sources = {path for kernel in KERNELS for path in source_paths(lowered(kernel), Path(folder))}
        return HostServer(sanitizer_flags(), sorted(sources - set(kernel_sources())))


@pytest.mark.parametrize("name", KERNELS)
def test_computes_the_reference(name: str) -> None:
    context, case = example(name)
    data = server().run(build_image(kernel_named(name), context, case.codes, struct.calcsize("P")))
    check(context, case.codes, unpack_codes(context.output, data))


@pytest.mark.parametrize("name", KERNELS)
def test_states_whole_bytes_and_positive_cycles(name: str) -> None:
    kernel = kernel_named(name)
    context, _ = example(name)
    assert kernel.scratch_bytes(context) >= 0
    assert isinstance(kernel.scratch_bytes(context), int)
    assert kernel.cycles(context) > 0
    assert all(0 <= index < len(context.inputs) for index in kernel.in_place_inputs(context))


@pytest.mark.parametrize("name", KERNELS)
def test_lowers_to_the_same_text_twice(name: str) -> None:
    context, _ = example(name)
    first, second = kernel_named(name).lower(context), kernel_named(name).lower(context)
    assert first.generated == second.generated
    assert [(c.function, c.fields, c.arguments) for c in first.calls] == [
        (c.function, c.fields, c.arguments) for c in second.calls
    ]


@pytest.mark.parametrize("name", [name for name in KERNELS if "dsp" in name or "generated" in name])
def test_dsp_kernels_refuse_other_cores(name: str) -> None:
    context, _ = example(name)
    plain = StepContext(context.step, context.inputs, context.output, Core("cortex-m0plus", False, False))
    assert "DSP" in (kernel_named(name).unsupported(plain) or "")


def test_every_step_type_has_a_kernel_for_cores_without_dsp() -> None:
    for kind in {kernel.step_type for kernel in all_kernels()}:
        names = [
            k.name for k in all_kernels() if k.step_type is kind and "dsp" not in k.name and "generated" not in k.name
        ]
        assert names, kind
        plain = Core("cortex-m0plus", False, False)
        assert all(example(name, plain) for name in names)
