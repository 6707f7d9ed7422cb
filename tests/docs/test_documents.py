"""What the documents show works: Python runs, C compiles, commands and files exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import click
import numpy as np
import pytest
from numpy.typing import NDArray

import quantmcu
from quantmcu.build.host_compiler import find_host_compiler
from quantmcu.cli.main import group
from quantmcu.program.serialize import load_program
from quantmcu.reference import execute
from quantmcu.results import Result

ROOT = Path(quantmcu.__file__).parents[1]
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/architecture.md",
    "docs/numerics.md",
    "docs/use-as-library.md",
    "docs/adding-a-board.md",
)


def blocks(document: str, language: str) -> list[str]:
    """The code blocks in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", ["README.md", pytest.param("docs/use-as-library.md", marks=pytest.mark.slow)])
def test_python_runs(
    document: str, small_model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of a document run in order, where there is a model.onnx and a folder photos/."""
    shutil.copy(small_model, tmp_path / "model.onnx")
    shutil.copytree(photos, tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    found = blocks(document, "python")
    assert found
    for block in found:
        exec(compile(block, document, "exec"), {"__name__": "documentation"})


@pytest.mark.parametrize("block", blocks("docs/use-as-library.md", "c"))
def test_c_compiles(block: str, compiled: Result, tmp_path: Path) -> None:
    source, library = tmp_path / "example.c", tmp_path / "example.so"
    source.write_text(block)
    model = compiled.folder / "src" / "model"
    find_host_compiler().compile([source], [model], library, ["-O2", "-Wall", "-Wextra", "-shared", "-fPIC"])


def image_and_scores(result: Result) -> tuple[NDArray[np.uint8], list[int]]:
    """An image as the network takes it, [16, 16, 3], and what the reference makes of it."""
    program = load_program(result.folder / "program.npz")
    image = np.random.default_rng(5).integers(0, 256, (1, 16, 16, 3), np.uint8)
    (scores,) = execute(program, {program.inputs[0]: image}).values()
    return image[0], scores.ravel().tolist()


def output_of(result: Result, example: str, main: str, image: NDArray[np.uint8], folder: Path) -> list[int]:
    """Numbers that an example prints with `main`, src/model/ in a program of somebody else, and the array `image`."""
    pixels = ", ".join(str(code) for code in image.ravel())
    (folder / "main.c").write_text(
        f"{example}\n#include <stdio.h>\nstatic const uint8_t image[] = {{{pixels}}};\n{main}\n"
    )
    model = folder / "network"
    shutil.copytree(result.folder / "src" / "model", model)
    sources = [folder / "main.c", *sorted(model.rglob("*.c"))]
    find_host_compiler().compile(sources, [model], folder / "main", ["-Wall", "-Wextra"])
    done = subprocess.run([str(folder / "main")], capture_output=True, text=True, check=True, timeout=60)
    return [int(number) for number in done.stdout.split()]


def test_the_network_in_another_program(compiled: Result, tmp_path: Path) -> None:
    image, scores = image_and_scores(compiled)
    main = 'int main(void) { printf("%d", classify(image)); return 0; }'
    example = blocks("docs/use-as-library.md", "c")[0]
    assert output_of(compiled, example, main, image, tmp_path) == [int(np.argmax(scores))]


PRINT = """void frame_classified(const uint8_t *scores)
{
    for (int i = 0; i < 4; i++)
        printf("%d ", scores[i]);
}
"""


def test_a_camera_that_delivers_lines(compiled: Result, tmp_path: Path) -> None:
    image, scores = image_and_scores(compiled)
    (example,) = (block for block in blocks("docs/use-as-library.md", "c") if "camera_line" in block)
    main = f"""{PRINT}
int main(void)
{{
    quantmcu_init();
    for (unsigned row = 0; row < 16; row++)
        camera_line(row, image + row * 16 * 3);
    camera_frame();
    return 0;
}}"""
    assert output_of(compiled, example, main, image, tmp_path) == scores


def test_a_camera_with_a_memory_of_its_own(small_model: Path, photos: Path, tmp_path: Path) -> None:
    options = {"calibration": photos, "preprocess": "unit", "patch": "4x1", "build": False, "input_on_demand": True}
    result = quantmcu.compile(small_model, "nucleo-f767", out=tmp_path / "net", **options)
    assert result.data["plan"]["input_on_demand"]
    image, scores = image_and_scores(result)
    (example,) = (block for block in blocks("docs/use-as-library.md", "c") if "camera_read" in block)
    main = f"""{PRINT}
void camera_read(unsigned row, unsigned column, unsigned columns, uint8_t *pixels)
{{
    memcpy(pixels, image + (row * 16 + column) * 3, columns * 3);
}}

int main(void)
{{
    quantmcu_init();
    frame_classified(classify_from_camera());
    return 0;
}}"""
    assert output_of(result, example, main, image, tmp_path) == scores


def test_the_folder_needs_no_include_path(compiled: Result, tmp_path: Path) -> None:
    """As an Arduino sketch has it: quantmcu.h by its path, and nothing but that folder."""
    folder = tmp_path / "src" / "network"
    shutil.copytree(compiled.folder / "src" / "model", folder)
    sketch = tmp_path / "sketch.c"
    sketch.write_text('#include "src/network/quantmcu.h"\nint main(void) { quantmcu_init(); return 0; }\n')
    find_host_compiler().compile([sketch, *sorted(folder.rglob("*.c"))], [], tmp_path / "sketch", ["-O1"])


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_exist(document: str) -> None:
    """Each `quantmcu NAME --option` in a document is one that the program knows."""
    text = (ROOT / document).read_text()
    context = click.Context(group)
    for name, rest in re.findall(r"(?:^\$ |`|bin/)quantmcu ([a-z]+)([^`\n]*)", text, re.MULTILINE):
        command = group.get_command(context, name)
        assert command is not None, f"quantmcu {name}"
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known


@pytest.mark.parametrize("document", DOCUMENTS)
def test_named_files_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    paths = re.findall(r"`((?:quantmcu|firmware|templates|boards|docs|demo|tests|\.ci)/[\w./-]*)`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_folder_of_the_compiler_is_in_the_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    folders = [entry for entry in (ROOT / "quantmcu").iterdir() if (entry / "__init__.py").is_file()]
    assert folders
    assert [folder.name for folder in folders if f"quantmcu/{folder.name}/" not in text and folder.name != "ir"] == []


def test_every_module_of_the_compiler_is_in_the_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    modules = [path.name for path in (ROOT / "quantmcu").glob("*.py") if not path.name.startswith("__")]
    assert modules
    assert [name for name in modules if f"`{name}`" not in text] == []
    named = re.findall(r"`(\w+\.py)`", text)
    assert [name for name in named if name not in modules and not list((ROOT / "quantmcu").rglob(name))] == []


def test_public_functions_are_documented() -> None:
    for name in quantmcu.__all__:
        thing = getattr(quantmcu, name)
        assert isinstance(thing, str) or thing.__doc__, name
