"""Programs survive being saved, byte for byte."""

import numpy as np
import pytest

from quantmcu.errors import UsageError
from quantmcu.patch.stage import StagePlan, split_program
from quantmcu.program.serialize import load_program, save_program
from quantmcu.reference import execute
from tests.programs import ProgramBuilder


def example(patched):
    builder = ProgramBuilder((12, 10, 3), seed=5)
    skip = builder.conv(8)
    builder.depthwise()
    builder.add(skip)
    builder.average_pool(pads=(1, 0, 0, 1))
    builder.lookup()
    program = builder.program()
    if patched:
        program = split_program(program, [StagePlan(program.steps[2].name, (3, 2), frozenset(program.values))])
    return builder, program


@pytest.mark.parametrize("patched", [False, True])
def test_a_loaded_program_is_the_same(tmp_path, patched):
    builder, program = example(patched)
    save_program(program, tmp_path / "program.npz")
    loaded = load_program(tmp_path / "program.npz")
    assert loaded.sha256 == program.sha256
    inputs = builder.inputs()
    np.testing.assert_array_equal(
        execute(loaded, inputs)[program.outputs[0]], execute(program, inputs)[program.outputs[0]]
    )


def test_the_same_program_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_program(example(True)[1], tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_another_weight_gives_another_digest():
    _, program = example(False)
    before = program.sha256
    program.steps[0].weight[0, 0, 0, 0] ^= 1
    del program.__dict__["sha256"]
    assert program.sha256 != before


def test_a_missing_or_damaged_file_says_what_to_do(tmp_path):
    with pytest.raises(UsageError, match="no compiled program"):
        load_program(tmp_path / "nothing.npz")
    save_program(example(False)[1], tmp_path / "program.npz")
    whole = (tmp_path / "program.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match="damaged") as caught:
        load_program(tmp_path / "half.npz")
    assert "compile the model again" in caught.value.hint


def test_nothing_is_left_behind_when_writing_fails(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="No space left"):
        save_program(example(False)[1], tmp_path / "program.npz")
    assert list(tmp_path.iterdir()) == []
