"""The emulator's machine code is the compiled form of hook.c."""

from __future__ import annotations

import platform

import pytest

from quantmcu.emulator import hook
from quantmcu.emulator.hook import build
from quantmcu.errors import ToolError


def test_the_shipped_code_was_made_from_the_present_source():
    assert build.STAMP.read_text().split("\n")[1] == build.stamp().split("\n")[1], (
        "hook.c has changed: python -m quantmcu.emulator.hook.build"
    )


def test_building_again_gives_the_shipped_code(tmp_path):
    shipped_with, installed = build.STAMP.read_text().split("\n")[0], build.stamp().split("\n")[0]
    if shipped_with != installed:
        pytest.skip(f"built with {shipped_with}, but {installed} is installed")
    build.build(tmp_path)
    for machine in hook.MACHINES:
        name = f"hook_{machine}.o"
        assert (tmp_path / name).read_bytes() == (hook.FOLDER / name).read_bytes()


def test_all_callbacks_are_there():
    expected = {"count_block", "time_access", "check_access", "console_read", "console_write"}
    assert set(hook.callback_addresses()) == expected


@pytest.mark.parametrize(("system", "machine"), [("linux", "riscv64"), ("win32", "AMD64")])
def test_other_computers_are_told_what_to_do(monkeypatch, system, machine):
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(ToolError) as error:
        hook.machine_name()
    assert f"the emulator does not run on this computer ({system}, {machine})" in str(error.value)
    assert "x86_64 and aarch64" in error.value.why
