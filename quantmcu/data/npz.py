"""Reading .npy and .npz files without loading them: arrays stay on disk where the file allows it."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantmcu.errors import UsageError

AnyArray = NDArray[np.generic]


def open_npy(path: Path) -> AnyArray:
    """The array in the .npy file, memory-mapped.

    Raises:
        UsageError: no such file, or not an array of numbers.
    """
    try:
        return _numbers(np.load(path, mmap_mode="r", allow_pickle=False), str(path))
    except (OSError, ValueError, EOFError) as error:
        why = "it is of another format, or holds Python objects" if "pickle" in str(error) else str(error)
        raise UsageError("the file is not a readable .npy array", str(path), why) from error


def open_npz(path: Path) -> Mapping[str, AnyArray]:
    """The arrays in the .npz file by name; memory-mapped when stored uncompressed (numpy.savez), else in memory.

    Raises:
        UsageError: no such file, or not an archive of arrays of numbers.
    """
    arrays: dict[str, AnyArray] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                name = info.filename.removesuffix(".npy")
                if info.compress_type == zipfile.ZIP_STORED:
                    array = _map_member(path, archive, info)
                else:
                    with archive.open(info) as member:
                        array = np.lib.format.read_array(member, allow_pickle=False)
                arrays[name] = _numbers(array, f"{path}: {name}")
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError("the file is not a readable .npz archive", str(path), str(error)) from error
    return arrays


def _map_member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> AnyArray:
    """An uncompressed member of the archive, mapped from its place in the file."""
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = reader(member)
        header_bytes = member.tell()
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    if 0 in shape:
        return np.empty(shape, dtype)
    with path.open("rb") as file:
        # local file header (PKWARE APPNOTE 4.3.7): 30 bytes, then the name and an extra field of these lengths
        file.seek(info.header_offset + 26)
        lengths = file.read(4)
    offset = info.header_offset + 30 + int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
    return np.memmap(path, dtype, "r", offset + header_bytes, shape, "F" if fortran else "C")


def _numbers(array: AnyArray, where: str) -> AnyArray:
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_) or np.iscomplexobj(array):
        raise UsageError(f"an array of type {array.dtype}", where, hint="give real numbers: float32, or integers")
    return array
