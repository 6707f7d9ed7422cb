"""The wheel: it holds everything, and compiles a model from an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import quantmcu

ROOT = Path(quantmcu.__file__).parents[1]
if not (ROOT / "pyproject.toml").is_file():
    pytest.skip("not in a checkout", allow_module_level=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the checkout."""
    pytest.importorskip("hatchling", reason="hatchling is not installed (extra `test`)")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (path,) = folder.glob("*.whl")
    return path


def run(python: Path, *arguments: object, cwd: Path) -> str:
    """Output of a Python program without the checkout in sight."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(python), *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def compiles_from(python: Path, model: Path, work: Path) -> None:
    """The installed quantmcu, not the checkout, compiles and measures."""
    place = run(python, "-c", "import quantmcu; print(quantmcu.__file__)", cwd=work)
    assert not Path(place.strip()).is_relative_to(ROOT)
    options = ("--board", "nucleo-f767", "--calib", "random", "--out", "net")
    run(python, "-m", "quantmcu", "compile", model, *options, cwd=work)
    run(python, "-m", "quantmcu", "measure", "net", "--runs", "1", cwd=work)
    assert (work / "net" / "firmware.elf").is_file()
    assert "cycles" in (work / "net" / "result.json").read_text()


def test_wheel_holds_all_data(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for folder in ("templates", "firmware", "boards", "demo"):
        here = {
            f"quantmcu/_data/{path.relative_to(ROOT).as_posix()}"
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert here <= set(names)
    assert {"quantmcu/results_schema.json", "quantmcu/targets/board.schema.json"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.slow
def test_wheel_compiles_beside_the_packages_that_are_here(wheel: Path, small_model: Path, tmp_path: Path) -> None:
    """An environment that sees this one's packages, with the wheel's files before them."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True, timeout=120)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    (site,) = [path for path in environment.rglob("site-packages") if path.is_dir()]
    zipfile.ZipFile(wheel).extractall(site)
    (site / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    compiles_from(python, small_model, tmp_path)


@pytest.mark.slow
def test_wheel_in_an_empty_environment(wheel: Path, small_model: Path, tmp_path: Path) -> None:
    """As a user installs it: dependencies from the package index, zig for a compiler."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True, timeout=120)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"{wheel}[zig]"]
    done = subprocess.run(install, capture_output=True, text=True, check=False, timeout=900)
    if "No matching distribution" in done.stderr or "Connection" in done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    compiles_from(python, small_model, tmp_path)
