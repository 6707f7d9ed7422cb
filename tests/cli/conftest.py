"""The command line, called in this process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from quantmcu.cli.main import run

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def quantmcu_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command line of 80 columns; gives exit status, standard output, standard error."""
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments: object) -> tuple[int, str, str]:
        status = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(status), captured.out, captured.err

    return call
