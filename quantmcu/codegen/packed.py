"""What the specifications of kernels for packed maps share (firmware/kernels/packed.h)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantmcu.codegen.kernel import StepContext
from quantmcu.program.program import Value


def maps_of_codes(context: StepContext) -> str | None:
    """Why a kernel for codes of 8, 4 and 2 bits can't compute this step, or None."""
    other = [value.name for value in (*context.inputs, context.output) if value.bits > 8]
    return f"maps of 8, 4 or 2 bits only, not {', '.join(other)}" if other else None


def is_packed(context: StepContext) -> bool:
    """Whether a map has fewer than 8 bits."""
    return any(value.bits < 8 for value in (*context.inputs, context.output))


def channels_of(value: Value) -> int:
    """Codes of a pixel."""
    return value.shape[-1] if value.shape else 1


def pixels_of(value: Value) -> int:
    """Rows of codes that start on a new byte."""
    return value.elements // channels_of(value)


def pack_weights(rows: NDArray[np.int8], bits: int) -> NDArray[np.uint8]:
    """Weights [rows, weights of a row] as packed two's complement, each row from a new byte: uint8 [rows, bytes]."""
    codes = rows.astype(np.uint8) & np.uint8(2**bits - 1)
    in_byte = 8 // bits
    padded = np.pad(codes, ((0, 0), (0, -codes.shape[1] % in_byte))).reshape(len(codes), -1, in_byte)
    shifts = np.arange(in_byte, dtype=np.uint8) * np.uint8(bits)
    return np.asarray(np.bitwise_or.reduce(padded << shifts, axis=-1), np.uint8)
