"""The preprocessing file (TOML). Every mistake in it is reported with the file and the key."""

from __future__ import annotations

import difflib
import json
import math
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quantmcu.data.preprocess import Preprocess
from quantmcu.errors import UsageError


def read_preprocess_file(path: Path) -> Preprocess:
    """The preprocessing that the TOML file at `path` describes; keys as the attributes of `Preprocess`.

    Raises:
        UsageError: the file can't be read, or a key or its value is wrong.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError("the preprocessing file can't be read", str(path), error.strerror or str(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError("the preprocessing file is not TOML", str(path), str(error)) from error
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in _CHECKS:
            near = difflib.get_close_matches(key, _CHECKS, n=1)
            raise UsageError(
                f"unknown key '{key}'" + (f"; did you mean '{near[0]}'?" if near else ""),
                str(path),
                hint=f"known keys: {', '.join(_CHECKS)}",
            )
        convert, expected = _CHECKS[key]
        try:
            values[key] = convert(value)
        except (TypeError, ValueError) as error:
            raise UsageError(f"{key} = {value!r} is not {expected}", f"{path}: {key}") from error
    return Preprocess(**values)


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError
    return float(value)


def _positive(value: object) -> float:
    number = _number(value)
    if number <= 0:
        raise ValueError
    return number


def _list(value: object) -> list[object]:
    if not isinstance(value, list) or not value:
        raise ValueError
    return value


def _size(value: object) -> tuple[int, int]:
    height, width = _list(value)
    return _whole(height), _whole(width)


def _resize(value: object) -> tuple[int, int] | int:
    return _size(value) if isinstance(value, list) else _whole(value)


def _choice(*choices: str) -> tuple[Callable[[object], str], str]:
    def convert(value: object) -> str:
        if value not in choices:
            raise ValueError
        return str(value)

    return convert, "one of " + ", ".join(f'"{choice}"' for choice in choices)


def _per_channel(check: Callable[[object], float]) -> Callable[[object], tuple[float, ...]]:
    return lambda value: tuple(check(item) for item in (_list(value) if isinstance(value, list) else [value]))


def _labels(value: object) -> tuple[str, ...]:
    names = _list(value)
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise ValueError
    return tuple(str(name) for name in names)


# key: conversion, which raises TypeError or ValueError, and what is expected, for the message
_CHECKS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "resize": (_resize, "[height, width] or the length of the shorter side, in whole pixels"),
    "resample": _choice("bilinear", "nearest", "bicubic"),
    "crop": (_size, "[height, width] in whole pixels"),
    "color_order": _choice("RGB", "BGR", "L"),
    "scale": (_positive, "a positive number"),
    "mean": (_per_channel(_number), "a number, or a list of one a channel"),
    "std": (_per_channel(_positive), "a positive number, or a list of one a channel"),
    "labels": (_labels, "a list of different names"),
}


def write_preprocess_file(preprocess: Preprocess, path: Path) -> None:
    """Writes a file that `read_preprocess_file` reads as `preprocess`.

    Raises:
        OSError: the file can't be written.
    """
    values = {key: getattr(preprocess, key) for key in _CHECKS}
    lines = [f"{key} = {_toml(value)}\n" for key, value in values.items() if value is not None]
    path.write_text("".join(lines), encoding="utf-8")


def _toml(value: object) -> str:
    """A number, text or list in TOML; JSON writes these the same way."""
    return json.dumps(value, ensure_ascii=False)
