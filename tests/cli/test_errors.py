"""Wrong usage and bad input: wording, exit status, and that nothing is left behind."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

import quantmcu
from quantmcu.cli.main import run as run_here
from quantmcu.errors import QuantMCUError
from quantmcu.results import Result
from tests.cli.conftest import Command
from tests.onnx_models import make_model, node

ROOT = Path(quantmcu.__file__).parents[1]
COMMAND = (sys.executable, "-m", "quantmcu")


def run(*arguments: object, cwd: Path | None = None, **options: object) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    command = [*COMMAND, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=300, check=False, **options
    )


def compile_arguments(model: Path, out: Path, *more: object) -> tuple[object, ...]:
    return ("compile", model, "--board", "nucleo-f767", "--calib", "random", "--out", out, *more)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("compile", "MODEL", "--board", "nucleo-f76", "--calib", "random"), 2, ("nucleo-f76", "did you mean")),
        (("compile", "MODEL", "--board", "nucleo-f767"), 2, ("no calibration data", "image [1, 3, 16, 16]", "--calib")),
        (("compile", "gone.onnx", "--board", "nucleo-f767", "--calib", "random"), 2, ("no such file", "gone.onnx")),
        (("compile", "MODEL", "--board", "nucleo-f767", "--calib", "gone.npz"), 2, ("gone.npz", ".npz file")),
        (("compile", "MODEL", "--board", "nucleo-f767", "--calib", "random", "--ram", "x"), 2, ("no size", "128k")),
        (("compile", "MODEL", "--board", "nucleo-f767", "--calib", "random", "--ram", "5k"), 1, ("RAM", "hint:")),
        (("compile", "MODEL", "--calib", "random"), 2, ("--board", "`quantmcu boards` lists")),
        (
            ("compile", "MODEL", "--board", "nucleo-f767", "--calib", "random", "--ram", "1M"),
            2,
            ("--ram: 1,048,576 bytes are more than nucleo-f767 has: 524,288 bytes of RAM", "manifest of its own"),
        ),
        (
            ("compile", "MODEL", "--board", "nucleo-f767", "--calib", "random", "--ram", "4k"),
            1,
            ("of 4,096 bytes of RAM the stack takes 4,096 and the firmware's variables 4,096: nothing is left",),
        ),
        (
            ("compile", "MODEL", "--board", "nucleo-f767", "--calib", "random", "--flash-size", "3M"),
            2,
            ("--flash-size: 3,145,728 bytes are more than nucleo-f767 has: 2,097,152 bytes of flash",),
        ),
        (
            ("compile", "MODEL", "--board", "nucleo-f767", "--calib", "random", "--flash-size", "25k"),
            1,
            (
                "--flash-size: the weights and tables need",
                "even with the fewest bits",
                "the most is taken by",
                "of 25,600 bytes of flash, code takes its part first and 0 are left",
                "a larger --flash-size (nucleo-f767 has 2,097,152 bytes)",
            ),
        ),
        (
            ("compile", "MODEL", "--board", "nucleo-f767", "--calib", "random", "--toolchain", "/nowhere"),
            2,
            ("--toolchain: the compiler '/nowhere' is not there", "pip install"),
        ),
        (
            ("compile", "MODEL", "--board", "nucleo-f767", "--calib", "random", "--patch", "99x99"),
            1,
            ("--patch: no patch stage of 99x99 patches is possible", "fewer patches"),
        ),
        (("plan", "MODEL", "--board", "nucleo-f767", "--picture", "p.png"), 2, ("--picture", "ends in .svg")),
        (("compile", "MODEL", "--board", "nucleo-f767", "--flash", "--no-build"), 2, ("exclude each other",)),
        (("frobnicate",), 2, ("frobnicate", "quantmcu --help")),
        (("measure", "."), 2, ("no result.json", "quantmcu compile")),
        (("measure", ".", "--runs", "0"), 2, ("--runs",)),
        (("validate", "."), 2, ("--data",)),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_wrong_usage(
    arguments: tuple[str, ...],
    status: int,
    words: tuple[str, ...],
    small_model: Path,
    tmp_path: Path,
    quantmcu_command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copy(small_model, tmp_path / "MODEL")
    monkeypatch.chdir(tmp_path)
    ended, out, messages = quantmcu_command(*arguments)
    assert ended == status, messages
    assert out == ""
    for word in words:
        assert word in messages
    assert "Traceback" not in messages
    assert [path.name for path in tmp_path.iterdir()] == ["MODEL"]


def test_all_unsupported_parts_are_named_at_once(tmp_path: Path, quantmcu_command: Command) -> None:
    nodes = [node("Det", ["x"], "a"), node("Hardmax", ["x"], "b"), node("Add", ["a", "b"], "y")]
    model = tmp_path / "odd.onnx"
    onnx.save(make_model(nodes, {"x": [1, 4, 4]}, ["y"], opset=18), str(model))
    status, _, messages = quantmcu_command(*compile_arguments(model, tmp_path / "out"))
    assert status == 1
    assert "Det" in messages
    assert "Hardmax" in messages
    assert not (tmp_path / "out").exists()
    status, out, messages = quantmcu_command("inspect", model, "--json")
    assert status == 1
    assert {problem["what"].split()[0] for problem in json.loads(out)["problems"]}
    assert len(json.loads(messages.splitlines()[-1])["error"]["problems"]) == 2


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x07\x12\x05trunc"], ids=["empty", "text", "truncated"])
def test_files_that_are_no_models(content: bytes, tmp_path: Path, quantmcu_command: Command) -> None:
    model = tmp_path / "bad.onnx"
    model.write_bytes(content)
    status, _, messages = quantmcu_command(*compile_arguments(model, tmp_path / "out"))
    assert status in (1, 2)
    assert "bad.onnx" in messages
    assert "Traceback" not in messages
    assert [path.name for path in tmp_path.iterdir()] == ["bad.onnx"]


def test_weights_that_are_no_numbers(tmp_path: Path, quantmcu_command: Command) -> None:
    weights = {"w": np.full((3, 4), np.nan, np.float32)}
    model = tmp_path / "nan.onnx"
    onnx.save(make_model([node("MatMul", ["x", "w"], "y")], {"x": [1, 3]}, ["y"], weights), str(model))
    status, _, messages = quantmcu_command(*compile_arguments(model, tmp_path / "out"))
    assert status == 1
    assert "NaN" in messages


@pytest.mark.parametrize("value", [0, 0.5])
def test_calibration_data_that_never_vary_are_warned_of(
    value: float, small_model: Path, tmp_path: Path, quantmcu_command: Command
) -> None:
    np.save(tmp_path / "x.npy", np.full((4, 3, 16, 16), value, np.float32))
    command = ("compile", small_model, "--board", "nucleo-f767", "--calib", tmp_path / "x.npy", "--no-build")
    status, _, messages = quantmcu_command(*command, "--out", tmp_path / "o")
    assert status == 0, messages
    (note,) = [note for note in Result.load(tmp_path / "o").data["compile"]["notes"] if "calibration data is" in note]
    assert note.startswith(f"input image: every value of the calibration data is {value:g} (samples: 4)")
    assert "do not hold for real inputs" in note
    assert "--calib" in note


def test_calibration_data_of_another_shape(small_model: Path, tmp_path: Path, quantmcu_command: Command) -> None:
    np.save(tmp_path / "x.npy", np.zeros((4, 3, 8, 8), np.float32))
    status, _, messages = quantmcu_command(
        "compile", small_model, "--board", "nucleo-f767", "--calib", tmp_path / "x.npy", "--out", tmp_path / "o"
    )
    assert status == 2
    assert "(3, 8, 8)" in messages or "(4, 3, 8, 8)" in messages
    assert not (tmp_path / "o").exists()


def test_errors_as_json_are_the_last_line_of_standard_error(
    small_model: Path, tmp_path: Path, quantmcu_command: Command
) -> None:
    status, out, messages = quantmcu_command("compile", small_model, "--board", "no", "--calib", "random", "--json")
    assert status == 2
    assert out == ""
    error = json.loads(messages.splitlines()[-1])["error"]
    assert set(error) == {"what", "where", "why", "hint", "status"}
    assert error["where"] == "--board"
    assert error["status"] == 2


def test_a_folder_with_other_files_is_not_replaced(
    small_model: Path, tmp_path: Path, quantmcu_command: Command
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    status, _, messages = quantmcu_command(*compile_arguments(small_model, tmp_path))
    assert status == 2
    assert "holds other files" in messages
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def heed_interrupts() -> None:
    """As in a terminal; what a shell starts in the background ignores SIGINT, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_nothing(kind: signal.Signals, small_model: Path, tmp_path: Path) -> None:
    slow = tmp_path / "slow" / "arm-none-eabi-gcc"  # a build that is surely not done when the signal comes
    slow.parent.mkdir()
    slow.write_text('#!/bin/sh\ncase "$*" in *ersion*) echo "arm-none-eabi-gcc 12.2.1";; *) sleep 60;; esac\n')
    slow.chmod(0o755)
    folder = tmp_path / "results"
    folder.mkdir()
    arguments = compile_arguments(small_model, folder / "out", "--toolchain", slow)
    command = [*COMMAND, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, preexec_fn=heed_interrupts
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("build"):
                break
        time.sleep(0.3)  # PlatformIO is at work now
        assert any(path.name.startswith(".out.") for path in folder.iterdir())
        process.send_signal(kind)
        rest = process.stderr.read()
        status = process.wait(60)
    assert status == 128 + kind
    assert "Traceback" not in rest
    if kind == signal.SIGINT:
        assert "interrupted; nothing half-written is left" in rest
    time.sleep(0.2)
    assert list(folder.iterdir()) == []


def test_an_interruption_keeps_the_earlier_result(compiled: Result, small_model: Path) -> None:
    before = (compiled.folder / "result.json").read_bytes()
    done = run(*compile_arguments(small_model, compiled.folder, "--toolchain", "/nonexistent"))
    assert done.returncode in (2, 3)
    assert (compiled.folder / "result.json").read_bytes() == before
    assert [path.name for path in compiled.folder.parent.iterdir()] == [compiled.folder.name]


def test_changes_by_hand_are_not_lost(small_model: Path, tmp_path: Path, quantmcu_command: Command) -> None:
    arguments = compile_arguments(small_model, tmp_path / "net", "--no-build")
    assert quantmcu_command(*arguments)[0] == 0
    assert quantmcu_command(*arguments)[0] == 0
    main = tmp_path / "net" / "src" / "harness" / "main.c"
    main.write_text(main.read_text() + "/* mine */\n")
    status, _, messages = quantmcu_command(*arguments)
    assert status == 2
    assert "changed since quantmcu wrote the folder: src/harness/main.c" in messages
    assert main.read_text().endswith("/* mine */\n")


@pytest.mark.parametrize("limit", [2_000, 20_000], ids=["project", "firmware"])
def test_a_full_disk_leaves_nothing(limit: int, small_model: Path, tmp_path: Path) -> None:
    """A limit on the size of files fails writes just as a full disk does, at a place that we choose."""

    def limit_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = run(*compile_arguments(small_model, tmp_path / "out"), preexec_fn=limit_files)
    assert done.returncode == 3, done.stderr
    assert "error:" in done.stderr
    assert "Traceback" not in done.stderr
    assert f"{tmp_path}/.out" not in done.stderr, "the temporary folder is nobody's business"
    assert list(tmp_path.iterdir()) == []


def test_results_are_written_whole_or_not_at_all(compiled: Result) -> None:
    before = (compiled.folder / "result.json").read_bytes()

    def limit_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = run("measure", compiled.folder, "--runs", "1", preexec_fn=limit_files)
    assert done.returncode == 3
    assert "cannot write result.json" in done.stderr
    assert (compiled.folder / "result.json").read_bytes() == before
    assert not [path for path in compiled.folder.iterdir() if path.name.startswith(".result")]


def test_a_mistake_of_ours_says_how_to_report_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise KeyError("lost")

    monkeypatch.setattr(quantmcu, "boards", broken, raising=False)
    assert run_here(["boards"]) == 1
    text = capsys.readouterr().err
    assert "QuantMCU itself failed" in text
    assert "KeyError: 'lost'" in text
    assert "report it" in text
    assert "Traceback" not in text
    assert run_here(["boards", "--verbose"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m quantmcu ops | head -1"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, check=False)
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


def test_version() -> None:
    assert run("--version").stdout == f"quantmcu, version {quantmcu.__version__}\n"


def test_device_trouble_is_status_3(compiled: Result, quantmcu_command: Command) -> None:
    status, _, messages = quantmcu_command("measure", compiled.folder, "--on", "device", "--port", "/dev/nonexistent")
    assert status == 3
    assert "no such port" in messages


@pytest.mark.qemu
def test_qemu_cannot_time(small_model: Path, tmp_path: Path, quantmcu_command: Command) -> None:
    out = tmp_path / "net"
    quantmcu.compile(small_model, "qemu-m4", calibration="random", out=out)
    status, _, messages = quantmcu_command("measure", out, "--on", "qemu")
    assert status == 3
    assert "no cycle counter" in messages
    assert "--on emulator" in messages


def test_problems_keep_their_parts() -> None:
    error = QuantMCUError("what", "where", "why", "hint")
    assert str(error) == "where: what\n  why:  why\n  hint: hint"
