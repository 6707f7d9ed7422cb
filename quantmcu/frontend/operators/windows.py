"""Attributes that convolutions and pooling share: kernel, strides, dilations, padding."""

from __future__ import annotations

from dataclasses import dataclass

from quantmcu.frontend.node import Node
from quantmcu.frontend.registry import UnsupportedError
from quantmcu.ir.ops import Pads, Pair
from quantmcu.ir.shapes import effective_kernel

WINDOW_ATTRIBUTES = ("auto_pad", "dilations", "kernel_shape", "pads", "strides")


@dataclass(frozen=True)
class Window:
    """A sliding window over height and width; one-dimensional windows have height 1.

    Attributes:
        ceil: rows and columns that `ceil_mode` adds at the bottom and the right, beyond `pads`.
    """

    kernel: Pair
    strides: Pair
    dilations: Pair
    pads: Pads
    ceil: Pair = (0, 0)

    @property
    def all_pads(self) -> Pads:
        """Padding including what `ceil_mode` adds."""
        top, left, bottom, right = self.pads
        return top, left, bottom + self.ceil[0], right + self.ceil[1]


def read_window(node: Node, kernel: tuple[int, ...], size: Pair) -> Window:
    """The window of a node over a map of `size` rows and columns, `auto_pad` and `ceil_mode` resolved.

    Raises:
        UnsupportedError: an unknown or contradictory attribute.
    """
    rank = len(kernel)
    strides = _pair(node, "strides", rank)
    dilations = _pair(node, "dilations", rank)
    plane: Pair = (1, kernel[0]) if rank == 1 else (kernel[0], kernel[1])
    pads = _pads(node, rank, plane, strides, dilations, size)
    if min(*plane, *strides, *dilations) < 1:
        raise UnsupportedError("kernel, strides and dilations have to be positive", "export the model again")
    if min(pads) < 0:
        raise UnsupportedError("negative padding is not supported", "crop with a Slice node instead", f"pads = {pads}")
    ceil = (0, 0)
    if node.attribute("ceil_mode", 0):
        spans = effective_kernel(plane, dilations)
        ceil = (
            _ceil_rows(size[0], spans[0], strides[0], pads[0], pads[2]),
            _ceil_rows(size[1], spans[1], strides[1], pads[1], pads[3]),
        )
    return Window(plane, strides, dilations, pads, ceil)


def _pair(node: Node, name: str, rank: int) -> Pair:
    values = node.attribute(name) or [1] * rank
    if len(values) != rank:
        raise UnsupportedError(f"{rank} values are expected", "export the model again", f"{name} = {list(values)}")
    return (1, values[0]) if rank == 1 else (values[0], values[1])


def _pads(node: Node, rank: int, kernel: Pair, strides: Pair, dilations: Pair, size: Pair) -> Pads:
    auto = node.attribute("auto_pad", "NOTSET")
    if auto == "VALID":
        return 0, 0, 0, 0
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        (top, bottom), (left, right) = (
            _same(*axis, upper=auto == "SAME_UPPER")
            for axis in zip(size, effective_kernel(kernel, dilations), strides, strict=True)
        )
        return top, left, bottom, right
    if auto != "NOTSET":
        raise UnsupportedError(
            "only NOTSET, VALID, SAME_UPPER, SAME_LOWER supported", "give explicit pads", f"auto_pad = {auto}"
        )
    pads = list(node.attribute("pads") or [0] * 2 * rank)
    if len(pads) != 2 * rank:
        raise UnsupportedError(f"{2 * rank} values are expected", "export the model again", f"pads = {pads}")
    return (0, pads[0], 0, pads[1]) if rank == 1 else (pads[0], pads[1], pads[2], pads[3])


def _same(size: int, span: int, stride: int, *, upper: bool) -> Pair:
    """Padding before and after so that the output has ceil(size / stride) elements."""
    total = max((-(-size // stride) - 1) * stride + span - size, 0)
    small, large = total // 2, total - total // 2
    return (small, large) if upper else (large, small)


def _ceil_rows(size: int, span: int, stride: int, before: int, after: int) -> int:
    """Rows to add behind the padding for the output size rounded up.

    No window may start behind the map and its front padding (ONNX MaxPool-22, as PyTorch).
    """
    outputs = -(-(size + before + after - span) // stride) + 1
    if (outputs - 1) * stride >= size + before:
        outputs -= 1
    return max((outputs - 1) * stride + span - size - before - after, 0)
