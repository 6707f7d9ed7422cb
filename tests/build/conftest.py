"""Builds go to a cache folder of the test session; firmware that several tests look at is built once."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quantmcu.build import BuildResult, build_project
from quantmcu.targets import load_board
from tests.build.tiny_network import write_tiny
from tests.once import made_once

Build = Callable[[str, str], BuildResult]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cold cache; the user's stays untouched."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("QUANTMCU_CACHE")
    os.environ["QUANTMCU_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["QUANTMCU_CACHE"]
    else:
        os.environ["QUANTMCU_CACHE"] = before


@pytest.fixture(scope="session")
def build() -> Build:
    """Builds the tiny network for a board with a toolchain, once a session."""

    def of(board_id: str, toolchain: str) -> BuildResult:
        def make(folder: Path) -> None:
            board = load_board(board_id)
            result = build_project(write_tiny(folder / "project", board), board, toolchain=toolchain)
            (folder / "result.pickle").write_bytes(pickle.dumps(result))

        folder = made_once(f"tiny network, {board_id}, {toolchain}", make)
        result = pickle.loads((folder / "result.pickle").read_bytes())
        assert isinstance(result, BuildResult)
        return result

    return of
