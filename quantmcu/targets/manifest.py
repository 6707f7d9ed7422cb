"""Reads and checks board manifests."""

from __future__ import annotations

import difflib
import functools
import json
from itertools import combinations
from pathlib import Path
from typing import Any

import jsonschema

from quantmcu.errors import ProblemListError, QuantMCUError, UsageError
from quantmcu.resources import data_folder
from quantmcu.targets.board import Board, Caches, Console, MemoryRegion, UsbId
from quantmcu.targets.clocks import clock_problems

_CONSOLE_FIELDS = {"peripheral", "kind", "base", "baud", "clock_hz", "tx", "rx", "note"}


def list_boards() -> list[Board]:
    """All boards that QuantMCU ships, by id."""
    return [load_board_file(path) for path in sorted(data_folder("boards").glob("*.json"))]


def load_board(name: str) -> Board:
    """The board with id `name`, or the one of a manifest file, where `name` is a path that ends in `.json`.

    Raises:
        UsageError: no such board; the error names near matches.
    """
    if name.endswith(".json"):
        return load_board_file(Path(name))
    path = data_folder("boards") / f"{name}.json"
    known = sorted(file.stem for file in data_folder("boards").glob("*.json"))
    if name in known:
        return load_board_file(path)
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise UsageError(
        f"unknown board {name!r}",
        where="--board",
        why=f"the boards are {', '.join(known)}",
        hint=f"{hint}`quantmcu boards` lists them with their sizes; the path of a manifest (NAME.json) works too",
    )


def load_board_file(path: Path) -> Board:
    """The board described by the manifest `path`; its id is the file's name.

    Raises:
        UsageError: the file can't be read or is no JSON.
        ProblemListError: it breaks the schema or contradicts itself; every problem names the key.
    """
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError("cannot read the board manifest", where=str(path), why=error.strerror or str(error)) from error
    except ValueError as error:
        raise UsageError("the board manifest is no valid JSON", where=str(path), why=str(error)) from error
    problems = _schema_problems(path, manifest)
    if not problems:
        board = _board(path.stem, manifest)
        problems = _contradictions(path, board)
    if problems:
        raise ProblemListError(
            "the board manifest is wrong",
            list(problems),
            hint="quantmcu/targets/board.schema.json and the other files in boards/ show what a manifest holds",
        )
    return board


@functools.cache
def _validator() -> Any:
    schema = json.loads(Path(__file__).with_name("board.schema.json").read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema)


def _schema_problems(path: Path, manifest: object) -> list[QuantMCUError]:
    errors = sorted(_validator().iter_errors(manifest), key=lambda error: error.json_path)
    return [UsageError(error.message, where=f"{path.name}: {error.json_path.removeprefix('$.')}") for error in errors]


def _board(identifier: str, manifest: dict[str, Any]) -> Board:
    own = manifest["quantmcu"]
    return Board(
        id=identifier,
        name=manifest["name"],
        vendor=manifest["vendor"],
        url=manifest["url"],
        mcu=manifest["build"]["mcu"],
        core=own["core"],
        fpu=own["fpu"],
        clock_hz=own["clock"]["core_hz"],
        memory=tuple(_region(region) for region in own["memory"]),
        stack_bytes=own["stack_bytes"],
        caches=Caches(**own["caches"]),
        console=_console(own["console"]),
        usb=tuple(UsbId(int(usb["vid"], 16), int(usb["pid"], 16)) for usb in own["usb"]),
        port=own["port"],
        irq_count=own["irq_count"],
        vector_offset=own.get("vector_offset", 0),
        clock=own["clock"],
        platformio_platform=own["platformio_platform"],
        platformio_board=own["platformio_board"],
        qemu_machine=own.get("qemu_machine"),
        emulator=own.get("emulator", {}),
        cycle_model=own.get("cycle_model", {}),
        manifest=manifest,
    )


def _region(entry: dict[str, Any]) -> MemoryRegion:
    return MemoryRegion(
        name=entry["name"],
        kind=entry["kind"],
        origin=int(entry["origin"], 16),
        size=entry["size"],
        roles=tuple(entry.get("role", ())),
        zero_wait=entry.get("zero_wait", False),
        ecc=entry.get("ecc", False),
    )


def _console(entry: dict[str, Any]) -> Console:
    return Console(
        peripheral=entry["peripheral"],
        kind=entry["kind"],
        base=int(entry["base"], 16),
        baud=entry["baud"],
        clock_hz=entry["clock_hz"],
        tx=entry.get("tx"),
        rx=entry.get("rx"),
        note=entry["note"],
        settings={
            key: int(value, 16) if isinstance(value, str) else value
            for key, value in entry.items()
            if key not in _CONSOLE_FIELDS
        },
    )


def _contradictions(path: Path, board: Board) -> list[QuantMCUError]:
    """What a schema can't say: the parts of the manifest agree with each other and with the ports."""
    problems: list[QuantMCUError] = []

    def problem(key: str, what: str) -> None:
        problems.append(UsageError(what, where=f"{path.name}: {key}"))

    frequency = int(board.manifest["build"]["f_cpu"].rstrip("L"))
    if frequency != board.clock_hz:
        problem("build.f_cpu", f"is {frequency} Hz, but quantmcu.clock.core_hz is {board.clock_hz} Hz")
    upload = board.manifest["upload"]
    if upload["maximum_size"] != board.flash_bytes:
        problem("upload.maximum_size", f"is {upload['maximum_size']}, but the flash regions have {board.flash_bytes}")
    if upload["maximum_ram_size"] != board.ram_bytes:
        problem("upload.maximum_ram_size", f"is {upload['maximum_ram_size']}, but the RAM has {board.ram_bytes} bytes")
    if upload["protocol"] not in upload["protocols"]:
        problem("upload.protocol", f"{upload['protocol']!r} is not among upload.protocols")
    for role, most in (("stack", 1), ("data", 1), ("code", 1), ("arena", len(board.memory))):
        count = len(board.regions_for(role))
        if count > most or (count == 0 and role != "code"):
            wanted = "one" if most == 1 else "at least one"
            problem("quantmcu.memory", f"{count} regions have the role {role!r}; there must be {wanted}")
    if sum(region.kind == "flash" for region in board.memory) != 1:
        problem("quantmcu.memory", "there must be one flash region")
    for a, b in combinations(board.memory, 2):
        if a.name == b.name:
            problem("quantmcu.memory", f"two regions are called {a.name!r}")
        if a.origin < b.end and b.origin < a.end:
            problem("quantmcu.memory", f"the regions {a.name!r} and {b.name!r} overlap")
    for key, what in clock_problems(board):
        problem(key, what)
    for file in (f"{board.port}.c", f"uart_{board.console.kind.replace('-', '_')}.c"):
        if not (data_folder("firmware") / "ports" / file).is_file():
            problem("quantmcu.port", f"there is no firmware/ports/{file}")
    return problems
