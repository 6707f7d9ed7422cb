"""What runs a compiled network: the host's C build, the emulator, QEMU or a board. All look the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from quantmcu.errors import ToolError, UsageError
from quantmcu.packing import Codes, code_dtype, pack_codes, packed_size, unpack_codes


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a compiled network. Real value of a code q: scale * (q - zero_point).

    Attributes:
        bits: 8, 4 or 2: unsigned codes; 32: int32 values.
        shape: as in the IR; images are NHWC with the batch of 1.
        byte_count: size of its buffer, packed.
        on_demand: an input without a buffer: the network asks for rectangles of it while it runs.
    """

    name: str
    bits: int
    shape: tuple[int, ...]
    byte_count: int
    scale: float
    zero_point: int
    on_demand: bool = False

    def check(self, where: str) -> None:
        """Refuses a descriptor that contradicts itself.

        Raises:
            ToolError: its bits, shape and size do not belong together; `where` says who sent it.
        """
        known = self.bits in (8, 4, 2, 32)
        if not known or packed_size(self.shape, self.bits) != self.byte_count:
            raise ToolError(
                f"the tensor {self.name!r} contradicts itself",
                where,
                f"{self.byte_count} bytes for shape {self.shape} at {self.bits} bits",
                "compile and flash again with this version of quantmcu",
            )

    def pack(self, codes: Codes) -> bytes:
        """Buffer contents for unpacked codes.

        Raises:
            UsageError: wrong shape, type or code range.
        """
        if codes.shape != self.shape:
            raise UsageError("an input has the wrong shape", self.name, f"expected {self.shape}, got {codes.shape}")
        try:
            return pack_codes(codes, self.bits)
        except ValueError as error:
            raise UsageError("an input does not hold codes of this tensor", self.name, str(error)) from error

    def rectangle(self, buffer: bytes, row: int, column: int, rows: int, columns: int) -> bytes:
        """A rectangle of an image [1, H, W, C] out of its buffer contents, row after row without gaps.

        Raises:
            ToolError: it lies outside: other firmware.
        """
        height, width = self.shape[1:3] if len(self.shape) == 4 else (0, 0)
        if row + rows > height or column + columns > width:
            raise ToolError(
                f"the network asks for a part outside of input {self.name!r}",
                why=f"{rows} rows from {row} and {columns} columns from {column} on, of {height} x {width}",
                hint="compile and flash again with this version of quantmcu",
            )
        pixel = packed_size(self.shape[3:], self.bits)
        starts = [((row + index) * width + column) * pixel for index in range(rows)]
        return b"".join(buffer[start : start + columns * pixel] for start in starts)

    def unpack(self, buffer: bytes) -> Codes:
        """Unpacked codes (uint8; int32 for 32 bits) of the buffer's contents."""
        return unpack_codes(buffer, self.bits, self.shape)


@dataclass(frozen=True)
class RunnerInfo:
    """What runs the network, and which network.

    Attributes:
        runner: for messages and conditions, such as "device nucleo-f767 on /dev/ttyACM0" or "host (gcc -O2)".
        model_sha256: of the compiled program, 64 hexadecimal digits.
    """

    runner: str
    model: str
    model_sha256: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


class Runner(Protocol):
    """Runs one network on code tensors, byte for byte as the reference defines it."""

    @property
    def info(self) -> RunnerInfo:
        """The network and where it runs."""

    def infer(self, inputs: Sequence[Codes]) -> list[Codes]:
        """One inference: arrays of unpacked codes in, arrays of unpacked codes out, in the network's order.

        Raises:
            UsageError: the inputs do not fit the network.
            ToolError: the runner did not do its part.
        """

    def close(self) -> None:
        """Releases the process, port or library."""


def pack_inputs(tensors: Sequence[TensorInfo], inputs: Sequence[Codes]) -> list[bytes]:
    """Buffers of all inputs.

    Raises:
        UsageError: another number of inputs, or one that does not fit its tensor.
    """
    if len(inputs) != len(tensors):
        raise UsageError("wrong number of inputs", why=f"the network has {len(tensors)}, got {len(inputs)}")
    return [tensor.pack(codes) for tensor, codes in zip(tensors, inputs, strict=True)]


__all__ = ["Codes", "Runner", "RunnerInfo", "TensorInfo", "code_dtype", "pack_inputs"]
