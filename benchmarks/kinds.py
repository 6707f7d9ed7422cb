"""Kinds of layers, to compare stacks by kernel."""

from __future__ import annotations


def kind_of(kernel: tuple[int, int], channels: int, pixels: int, *, depthwise: bool) -> str:
    """What a convolution or dense layer is: by its kernel, its input channels and its output pixels."""
    if depthwise:
        return f"depthwise {kernel[0]}x{kernel[1]}"
    if kernel == (1, 1):
        return "dense" if pixels == 1 else "pointwise"
    return "first convolution (1 to 4 channels)" if channels <= 4 else f"convolution {kernel[0]}x{kernel[1]}"
