"""What the documents show works: Python runs, C compiles, commands and files exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

import quantmcu
from quantmcu.build.host_compiler import find_host_compiler
from quantmcu.cli.main import group
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


@pytest.mark.parametrize("document", ["README.md", "docs/use-as-library.md"])
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


def test_the_network_alone_compiles_and_classifies(compiled: Result, tmp_path: Path) -> None:
    """src/model/ in a program of somebody else: the guide's first example with a main."""
    program = tmp_path / "main.c"
    main = '#include <stdio.h>\nint main(void) { static uint8_t x[4096]; printf("%d", classify(x)); return 0; }\n'
    program.write_text(blocks("docs/use-as-library.md", "c")[0] + main)
    model = tmp_path / "network"
    shutil.copytree(compiled.folder / "src" / "model", model)
    binary = tmp_path / "main"
    find_host_compiler().compile([program, *sorted(model.rglob("*.c"))], [model], binary, ["-O2"])
    done = subprocess.run([str(binary)], capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) in range(4)


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


def test_public_functions_are_documented() -> None:
    for name in quantmcu.__all__:
        thing = getattr(quantmcu, name)
        assert isinstance(thing, str) or thing.__doc__, name
