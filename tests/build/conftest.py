"""Builds go to a cache folder of the test session; firmware that several tests look at is built once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quantmcu.build import BuildResult, build_project
from quantmcu.targets import load_board
from tests.build.tiny_network import write_tiny

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
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds the tiny network for a board with a toolchain, once a session."""
    built: dict[tuple[str, str], BuildResult] = {}

    def of(board_id: str, toolchain: str) -> BuildResult:
        if (board_id, toolchain) not in built:
            board = load_board(board_id)
            folder = write_tiny(tmp_path_factory.mktemp(f"{board_id}-{toolchain}"), board)
            built[board_id, toolchain] = build_project(folder, board, toolchain=toolchain)
        return built[board_id, toolchain]

    return of
