"""The folder of a result: only what quantmcu wrote is replaced, and only as a whole."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from quantmcu.errors import ToolError, UsageError
from quantmcu.output_folder import check_output, fingerprints, replacing_folder


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A result with two files."""
    folder = tmp_path / "net"
    fill(folder, "one")
    return folder


def fill(folder: Path, content: str) -> None:
    with replacing_folder(folder) as new:
        (new / "src").mkdir()
        (new / "src" / "main.c").write_text(content)
        (new / "platformio.ini").write_text("[env]")
        facts = {"schema": 1, "quantmcu": "0", "files": fingerprints(new)}
        (new / "result.json").write_text(json.dumps(facts))


def test_a_result_is_replaced(written: Path) -> None:
    (written / "report.html").write_text("drawn anew by `report`")
    (written / ".pio" / "build").mkdir(parents=True)
    (written / ".pio" / "build" / "main.o").write_bytes(b"by `pio run`")
    check_output(written)
    fill(written, "two")
    assert (written / "src" / "main.c").read_text() == "two"
    assert not (written / ".pio").exists()
    assert [path.name for path in written.parent.iterdir()] == ["net"]


@pytest.mark.parametrize("path", ["notes.txt", "src/mine.c"])
def test_files_of_others_stay(written: Path, path: str) -> None:
    (written / path).write_text("mine")
    with pytest.raises(UsageError, match=f"the folder holds other files: {path}") as caught:
        check_output(written)
    assert caught.value.where == str(written)
    assert "move these files away" in caught.value.hint


def test_changed_files_stay(written: Path) -> None:
    (written / "src" / "main.c").write_text("improved by hand")
    with pytest.raises(UsageError, match=r"changed since quantmcu wrote the folder: src/main\.c") as caught:
        check_output(written)
    assert "the changes be lost" in caught.value.why
    (written / "src" / "main.c").unlink()
    check_output(written)


def test_a_result_json_of_another_program_is_no_licence(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"name": "of another tool"}')
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match=r"the folder holds other files: result\.json, thesis\.tex"):
        check_output(tmp_path)


def test_many_files_are_counted(tmp_path: Path) -> None:
    for number in range(8):
        (tmp_path / f"{number}.txt").touch()
    with pytest.raises(UsageError, match=r"0\.txt, 1\.txt, 2\.txt, 3\.txt, 4\.txt and 3 more"):
        check_output(tmp_path)


def test_places_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        check_output(tmp_path / "file")
    with pytest.raises(UsageError, match="is a file") as caught:
        check_output(tmp_path / "file" / "net")
    assert caught.value.where == str(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(UsageError, match="this folder itself can't be replaced"):
        check_output(Path())
    check_output(Path("new/net"))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UsageError, match="can't write here") as caught:
        check_output(tmp_path / "net")
    assert "read-only" in caught.value.why


def test_what_was_there_comes_back(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if target == written and self.parent == written.parent:
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(ToolError, match="can't write the result; nothing was left behind"):
        fill(written, "two")
    assert (written / "src" / "main.c").read_text() == "one"
    assert [path.name for path in written.parent.iterdir()] == ["net"]


def test_of_two_at_once_the_later_stays(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.replace
    others = ["another's"]

    def overtaken(self: Path, target: Path) -> Path:
        moved = rename(self, target)
        if self == written and others:  # between the two renames
            fill(written, others.pop())
        return moved

    monkeypatch.setattr(Path, "replace", overtaken)
    fill(written, "ours")
    assert (written / "src" / "main.c").read_text() == "ours"
    assert [path.name for path in written.parent.iterdir()] == ["net"]


def test_errors_name_the_folder_that_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ToolError) as caught, replacing_folder(tmp_path / "net") as folder:
        raise ToolError("can't write the project", str(folder / "src" / "model.c"))
    assert caught.value.where == str(tmp_path / "net" / "src" / "model.c")
    assert list(tmp_path.iterdir()) == []
