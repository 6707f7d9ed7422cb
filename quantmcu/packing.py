"""Codes of 8, 4 and 2 bits as they lie in memory: the one definition of packing.

Codes are packed densely along the last axis, lowest bits first, and each row of the last axis (in NHWC the channels
of one pixel) starts on a new byte; the spare high bits of a row's last byte are 0. 32-bit
values are little-endian int32.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: Codes are np.uint8, one an element whatever their bits; 32-bit values are np.int32.
Codes = NDArray[np.uint8] | NDArray[np.int32]

CODE_BITS = (8, 4, 2)


def code_dtype(bits: int) -> np.dtype[np.uint8] | np.dtype[np.int32]:
    """Type of the unpacked array for `bits`: uint8 for codes, int32 for 32-bit values.

    Raises:
        ValueError: no tensor has this many bits.
    """
    if bits in CODE_BITS:
        return np.dtype(np.uint8)
    if bits == 32:
        return np.dtype(np.int32)
    raise ValueError(f"a tensor has 8, 4, 2 or 32 bits, not {bits}")


def packed_size(shape: Sequence[int], bits: int) -> int:
    """Bytes of a packed tensor of this shape."""
    if bits == 32:
        return 4 * int(np.prod(shape, dtype=np.int64))
    row_bytes = -(-shape[-1] * bits // 8) if shape else 1
    return int(np.prod(shape[:-1], dtype=np.int64)) * row_bytes


def pack_codes(array: Codes, bits: int) -> bytes:
    """Bytes of an array of unpacked codes (uint8, each below 2^bits), or of int32 values when `bits` is 32.

    Raises:
        ValueError: the array has another type, or a code does not fit.
    """
    if array.dtype != code_dtype(bits):
        raise ValueError(f"{bits}-bit tensors are {code_dtype(bits)} arrays, not {array.dtype}")
    if bits == 32:
        return array.astype("<i4").tobytes()
    if array.size and int(array.max()) >= 1 << bits:
        raise ValueError(f"code {int(array.max())} does not fit into {bits} bits")
    if bits == 8:
        return array.tobytes()
    per_byte = 8 // bits
    channels = array.shape[-1] if array.ndim else 1
    rows = array.reshape(-1, channels)
    padded = np.zeros((len(rows), -(-channels // per_byte) * per_byte), np.uint8)
    padded[:, :channels] = rows
    packed = np.zeros((len(rows), padded.shape[1] // per_byte), np.uint8)
    for place in range(per_byte):
        packed |= padded[:, place::per_byte] << np.uint8(place * bits)
    return packed.tobytes()


def unpack_codes(buffer: bytes | bytearray | memoryview, bits: int, shape: Sequence[int]) -> Codes:
    """The array of `shape` whose packed form is `buffer`: the inverse of pack_codes.

    Raises:
        ValueError: the buffer is not as long as the shape says.
    """
    expected = packed_size(shape, bits)
    if len(buffer) != expected:
        raise ValueError(f"a tensor {tuple(shape)} of {bits} bits takes {expected} bytes, not {len(buffer)}")
    if bits == 32:
        return np.frombuffer(buffer, "<i4").astype(np.int32).reshape(shape)
    packed = np.frombuffer(buffer, np.uint8)
    if bits == 8:
        return packed.reshape(shape).copy()
    per_byte = 8 // bits
    channels = shape[-1] if shape else 1
    shifts = np.arange(per_byte, dtype=np.uint8) * np.uint8(bits)
    codes = (packed[:, None] >> shifts) & np.uint8((1 << bits) - 1)
    row_codes = -(-channels // per_byte) * per_byte
    return codes.reshape(-1, row_codes)[:, :channels].reshape(shape).astype(np.uint8)
