"""Saves an integer program and loads it again: an .npz archive of the arrays and a JSON tree of everything else.

No pickle: a file from elsewhere can hold nothing but data.
"""

from __future__ import annotations

import dataclasses
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from quantmcu.atomic import replacing_file
from quantmcu.errors import UsageError
from quantmcu.ir.tensor import QParams
from quantmcu.patch.region import Interval, Region
from quantmcu.program import fixed_point, program, stages, steps

FORMAT = 1

_CLASSES: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        QParams,
        fixed_point.Requantize,
        fixed_point.LinearForm,
        program.Value,
        program.Program,
        Interval,
        Region,
        stages.Cell,
        stages.OutlierTest,
        stages.PatchStage,
        *(c for c in vars(steps).values() if isinstance(c, type) and issubclass(c, steps.Step)),
    )
}


def save_program(what: program.Program, path: Path) -> None:
    """Writes `what` to `path`, whole or not at all; the same program gives the same bytes."""
    arrays: list[np.ndarray] = []
    tree = {"format": FORMAT, "program": _encode(what, arrays)}
    text = json.dumps(tree, separators=(",", ":")).encode()
    with replacing_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        # A fixed date keeps the archive's bytes the same from run to run.
        archive.writestr(zipfile.ZipInfo("program.json", (1980, 1, 1, 0, 0, 0)), text)
        for index, array in enumerate(arrays):
            with archive.open(zipfile.ZipInfo(f"{index}.npy", (1980, 1, 1, 0, 0, 0)), "w") as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def load_program(path: Path) -> program.Program:
    """The program that `save_program` wrote to `path`.

    Raises:
        UsageError: the file is missing, damaged, or of another format.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            tree = json.loads(archive.read("program.json"))
            count = len(archive.namelist()) - 1
            arrays = []
            for index in range(count):
                with archive.open(f"{index}.npy") as entry:
                    arrays.append(np.lib.format.read_array(entry, allow_pickle=False))
        if tree.get("format") != FORMAT:
            raise UsageError("the program is of another format", str(path), hint="compile the model again")
        decoded = _decode(tree["program"], arrays)
    except FileNotFoundError as error:
        raise UsageError("no compiled program", str(path), hint="run `quantmcu compile` with --out first") from error
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise UsageError("the compiled program is damaged", str(path), str(error), "compile the model again") from error
    if not isinstance(decoded, program.Program):
        raise UsageError("the file holds no program", str(path), hint="compile the model again")
    return decoded


def _encode(item: Any, arrays: list[np.ndarray]) -> Any:
    match item:
        case np.ndarray():
            arrays.append(np.ascontiguousarray(item))
            return {"array": len(arrays) - 1}
        case tuple() | list():
            return [_encode(element, arrays) for element in item]
        case frozenset():
            return {"set": sorted(item)}
        case dict():
            return {"mapping": [[key, _encode(value, arrays)] for key, value in item.items()]}
        case bool() | int() | str() | None:
            return item
        case float():
            return {"float": item.hex() if math.isfinite(item) else str(item)}
    kind = type(item).__name__
    if kind not in _CLASSES:
        raise TypeError(f"a program can't hold {kind}")
    fields = {f.name: _encode(getattr(item, f.name), arrays) for f in dataclasses.fields(item)}
    return {"class": kind, "fields": fields}


def _decode(item: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(item, list):
        return tuple(_decode(element, arrays) for element in item)
    if not isinstance(item, dict):
        return item
    if "array" in item:
        return arrays[item["array"]]
    if "float" in item:
        return float.fromhex(item["float"])
    if "set" in item:
        return frozenset(item["set"])
    if "mapping" in item:
        return {key: _decode(value, arrays) for key, value in item["mapping"]}
    return _CLASSES[item["class"]](**{name: _decode(value, arrays) for name, value in item["fields"].items()})
