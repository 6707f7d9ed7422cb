"""What is expensive to make is made once for all test processes of a run (pytest-xdist)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

Make = Callable[[Path], object]


class Once:
    """Folders that hold what was made, by name. Tests must not change what is in them."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        base = factory.getbasetemp()
        self.root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "once"
        self.root.mkdir(exist_ok=True)

    def folder(self, name: str, make: Make) -> Path:
        """The folder `name`, filled by `make` if no test process has done so yet."""
        folder = self.root / name
        with FileLock(self.root / f"{name}.lock"):
            if not (made := self.root / f"{name}.made").exists():
                folder.mkdir(exist_ok=True)
                make(folder)
                made.touch()
        return folder
