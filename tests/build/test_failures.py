"""Errors read from the output of tools that can't be made to fail here."""

from __future__ import annotations

from pathlib import Path

import pytest

from quantmcu.build.failures import build_failure, overflowed_regions, upload_failure
from quantmcu.build.pio import PlatformIORun
from quantmcu.errors import ExitStatus
from quantmcu.targets import load_board

BOARD = load_board("nucleo-f767")


def failed(output: str) -> PlatformIORun:
    return PlatformIORun(1, output, Path("/logs/x.log"))


@pytest.mark.parametrize(
    ("output", "overflow"),
    [
        (
            "ld: region `flash' overflowed by 52 bytes\nld: region `dtcm' overflowed by 7 bytes\n",
            {"flash": 52, "dtcm": 7},
        ),
        ("ld.lld: error: section '.arena.sram' will not fit in region 'sram': overflowed by 96 bytes\n", {"sram": 96}),
        (
            "section '.a' will not fit in region 'flash': overflowed by 10 bytes\n"
            "section '.b' will not fit in region 'flash': overflowed by 30 bytes\n",
            {"flash": 30},
        ),
        ("everything fits\n", {}),
    ],
)
def test_overflowed_regions(output: str, overflow: dict[str, int]) -> None:
    assert overflowed_regions(output) == overflow


@pytest.mark.parametrize(
    "output",
    ["ld: final link failed: No space left on device", "error: unable to write: NoSpaceLeft", "OSError: [ENOSPC]"],
)
def test_full_disk(output: str) -> None:
    error = build_failure(failed(output), BOARD)
    assert (error.what, error.status) == ("the disk is full", ExitStatus.TOOLS)
    assert "free some space" in error.hint


def test_registry_trouble() -> None:
    error = build_failure(failed("Tool Manager: Installing x\nHTTPClientError: \n"), BOARD)
    assert error.what == "PlatformIO could not get a package from its registry"
    assert "quantmcu doctor" in error.hint


def test_unknown_trouble_shows_the_last_words_and_the_log() -> None:
    error = build_failure(failed("something\nodd happened\n====== [FAILED] Took 1 s ======\n"), BOARD)
    assert error.what == "PlatformIO failed"
    assert error.why == "something | odd happened"
    assert error.hint == "the whole output: /logs/x.log"


@pytest.mark.parametrize(
    ("output", "what", "hint"),
    [
        ("Error: open failed\n", "no board found", "by USB"),
        ("No connected debug probes\n", "no board found", "by USB"),
        ("Error: unable to find a matching CMSIS-DAP device\n", "no board found", "by USB"),
        ("Error: no board's disk found\n", "no board found", "--port"),
        ("libusb_open() failed with LIBUSB_ERROR_ACCESS\n", "no permission to use the probe", "udev"),
        ("/bin/sh: bossac: command not found\n", "no upload tool", "pip install"),
        ("** Verify Failed **\n", "the flash does not hold what was written", "again"),
        ("Target type stm32f411re not recognized.\n", "pyOCD does not know this chip yet", "pack install"),
        ("anything else\n", "flashing failed", "/logs/x.log"),
    ],
)
def test_upload_failures(output: str, what: str, hint: str) -> None:
    error = upload_failure(failed(f"Uploading firmware.elf\n{output}*** [upload] Error 1\n"), BOARD)
    assert error.what == what
    assert hint in error.hint
    assert output.strip() in error.why
