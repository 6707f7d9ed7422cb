"""The folder that a compilation writes: what it may replace, and how it takes its place as a whole."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from quantmcu.atomic import write_error
from quantmcu.errors import QuantMCUError, UsageError
from quantmcu.results import FILE

_REWRITTEN = {FILE, "report.html"}  # by `measure`, `validate` and `report`
_OF_TOOLS = {".pio", ".vscode", ".cache", "__pycache__", "compile_commands.json"}  # they are made again when missing
_NAMED = 5
_ATTEMPTS = 10


def fingerprints(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a result as it was written, by path; without those that other commands rewrite."""
    return {path: _sha256(folder / path) for path in _files(folder) if path not in _REWRITTEN}


def check_output(out: Path) -> None:
    """Returns when a compilation may write `out`: a new or empty folder, or a result that nobody has changed.

    Raises:
        UsageError: it holds somebody's work, or can't be written.
    """
    if out.is_dir():
        if out.name in ("", "..") or out.is_mount():
            raise UsageError("this folder itself can't be replaced", str(out), hint="give --out a new folder in it")
        _check_contents(out)
    elif out.exists():
        raise UsageError("is a file", str(out), hint="give --out a folder")
    place = next(parent for parent in out.absolute().parents if parent.exists())
    if not place.is_dir():
        raise UsageError("is a file", str(place), hint="give --out a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        why = "the folder is read-only, or belongs to somebody else"
        raise UsageError("can't write here", str(place), why, "give another --out")


def _check_contents(out: Path) -> None:
    """All files must be as a compilation wrote them."""
    found, written = _files(out), _recorded(out)
    others = [path for path in found if path not in written.keys() | _REWRITTEN] if written is not None else found
    if others:
        raise UsageError(
            f"the folder holds other files: {_listed(others)}",
            str(out),
            f"only a folder that quantmcu wrote (with {FILE}) is replaced",
            "give --out a new or empty folder, or move these files away",
        )
    changed = [path for path in found if path not in _REWRITTEN and written and _sha256(out / path) != written[path]]
    if changed:
        raise UsageError(
            f"changed since quantmcu wrote the folder: {_listed(changed)}",
            str(out),
            "the folder would be replaced, and the changes be lost",
            "give --out a new folder, or delete this one",
        )


def _recorded(out: Path) -> dict[str, str] | None:
    """The fingerprints in the result of a compilation; None: it is no such result."""
    try:
        result: Any = json.loads((out / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    files = result.get("files") if isinstance(result, dict) and "quantmcu" in result else None
    return files if isinstance(files, dict) else None


def _files(folder: Path) -> list[str]:
    """All files below `folder`, without those of tools."""
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _OF_TOOLS]
        found += [(Path(parent) / name).relative_to(folder).as_posix() for name in files if name not in _OF_TOOLS]
    return sorted(found)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return f"{', '.join(paths[:_NAMED])}{more}"


@contextmanager
def replacing_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` that takes its place when all went well, and vanishes otherwise.

    Raises:
        ToolError: the disk is full, or the folder can't be written.
    """
    temporary = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
        temporary.chmod(0o755)
        yield temporary
        _take_place(temporary, out)
    except OSError as error:
        raise write_error("can't write the result; nothing was left behind", out, error) from error
    except QuantMCUError as error:
        error.where = error.where.replace(str(temporary), str(out))
        raise
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _take_place(folder: Path, out: Path) -> None:
    """Renames `folder` to `out`. What was there comes back when that fails; of two at once the later one stays."""
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.old.", ignore_cleanup_errors=True) as shelf:
        for attempt in range(_ATTEMPTS):
            earlier = Path(shelf) / str(attempt)
            try:
                with suppress(FileNotFoundError):
                    out.replace(earlier)
                folder.replace(out)
                return
            except BaseException as error:
                taken = isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST)
                if taken and attempt + 1 < _ATTEMPTS:  # by another compilation, between the two renames
                    continue
                if earlier.exists() and not out.exists():
                    earlier.replace(out)
                raise
