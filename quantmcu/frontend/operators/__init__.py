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
)

__all__ = ["combine", "convolution", "dense", "elementwise", "movement", "pooling", "reduction", "resize", "shapes"]
