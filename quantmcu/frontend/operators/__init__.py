"""One handler per ONNX operator; importing this package fills the registry."""

from quantmcu.frontend.operators import (
    combine,
    convolution,
    dense,
    elementwise,
    movement,
    pooling,
    reduction,
    resize,
    shapes,
    space,
    transposed_convolution,
)

__all__ = [
    "combine", "convolution", "dense", "elementwise", "movement", "pooling", "reduction", "resize", "shapes", "space",
    "transposed_convolution",
]  # fmt: skip
