"""Reading of axis attributes."""

from __future__ import annotations

from quantmcu.frontend.node import Node
from quantmcu.frontend.registry import UnsupportedError


def normalized(node: Node, axis: int, rank: int, name: str = "axis") -> int:
    """`axis` counted from the front.

    Raises:
        UnsupportedError: the tensor has no such axis.
    """
    if not -rank <= axis < rank:
        raise UnsupportedError(f"the input has {rank} axes", "export the model again", f"{name} = {axis}")
    return axis % rank


def read_axes(node: Node, rank: int) -> list[int] | None:
    """The axes that a node gives as an attribute or, in later opsets, as input 1; None where it gives none."""
    if node.has(1):
        axes = node.integers(1, "list of axes")
    elif node.attribute("axes") is not None:
        axes = list(node.attribute("axes"))
    else:
        return None
    return sorted({normalized(node, axis, rank, "axes") for axis in axes}) or None
