"""What is expensive to make is made once for all test processes of a run (pytest-xdist)."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

FOLDER = "QUANTMCU_TESTS_ONCE"


def start() -> None:
    """Makes the folder that this process shares with the test processes it starts."""
    if FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="quantmcu-tests-")
        atexit.register(shutil.rmtree, os.environ[FOLDER], ignore_errors=True)


def made_once(name: str, make: Callable[[Path], object]) -> Path:
    """A folder that `make` fills, if no test process has done so yet. Tests must not change what is in it.

    Args:
        name: of what is made, all that it depends on included.
        make: fills an empty folder.
    """
    folder = Path(os.environ[FOLDER]) / hashlib.sha256(name.encode()).hexdigest()[:16]
    with FileLock(f"{folder}.lock"):
        if not (made := folder.with_suffix(".made")).exists():
            shutil.rmtree(folder, ignore_errors=True)  # what a failure has left
            folder.mkdir()
            make(folder)
            made.touch()
    return folder
