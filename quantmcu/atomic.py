"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from quantmcu.errors import ToolError

_REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EFBIG: "free some space",
    errno.ENOENT: "make its folder first",
    errno.EACCES: "make the folder writable",
    errno.EPERM: "make the folder writable",
    errno.EROFS: "choose a folder that can be written",
}


@contextmanager
def replacing_file(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path` to write into; takes its place when all went well, and vanishes otherwise.

    Raises:
        OSError: the folder can't be written, or the disk is full.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Writes a file, whole or not at all.

    Raises:
        ToolError: the folder can't be written, or the disk is full.
    """
    try:
        with replacing_file(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise write_error(f"cannot write {path.name}", path, error) from error


def write_error(what: str, path: Path, error: OSError) -> ToolError:
    """The error for a file or folder that can't be written, with what helps against its cause."""
    hint = _REMEDIES.get(error.errno or 0, "choose another place")
    return ToolError(what, str(path), error.strerror or str(error), hint)


def _umask() -> int:
    """The mask that ordinary new files get; it can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
