"""Operators that trade channels for space."""

from __future__ import annotations

from quantmcu.frontend.builder import Builder
from quantmcu.frontend.node import Node, View
from quantmcu.frontend.registry import UnsupportedError, operator


@operator("DepthToSpace", attributes=("blocksize", "mode"), limits="4-D")
def depth_to_space(node: Node, builder: Builder) -> None:
    """Blocks of channels become blocks of pixels: reshape, another order of axes, reshape."""
    x, block = node.activation(), _block(node)
    shape = _four_axes(node, builder, x)
    if shape[1] % (block * block):
        raise _does_not_divide(f"{shape[1]} channels can't become blocks of {block}x{block}", block)
    if node.require("mode", "DCR", ("DCR", "CRD"), "export with one of these modes") == "DCR":
        split, order = (block, block, shape[1] // block**2), (0, 3, 4, 1, 5, 2)
    else:
        split, order = (shape[1] // block**2, block, block), (0, 1, 4, 2, 5, 3)
    result = _reordered(node, builder, x, (shape[0], *split, *shape[2:]), order)
    height, width = shape[2] * block, shape[3] * block
    builder.set(node, builder.reshaped(node, result, (shape[0], shape[1] // block**2, height, width)))


@operator("SpaceToDepth", attributes=("blocksize",), limits="4-D")
def space_to_depth(node: Node, builder: Builder) -> None:
    """Blocks of pixels become blocks of channels."""
    x, block = node.activation(), _block(node)
    batch, channels, height, width = _four_axes(node, builder, x)
    if height % block or width % block:
        raise _does_not_divide(f"{height}x{width} pixels can't be divided into blocks of {block}x{block}", block)
    split = (batch, channels, height // block, block, width // block, block)
    result = _reordered(node, builder, x, split, (0, 3, 5, 1, 2, 4))
    shape = (batch, channels * block**2, height // block, width // block)
    builder.set(node, builder.reshaped(node, result, shape))


def _reordered(
    node: Node, builder: Builder, x: View, split: tuple[int, ...], order: tuple[int, ...]
) -> View:
    """`x` under the shape `split`, seen with its axes in another order."""
    view = builder.reshaped(node, x, split, output=None)
    return View(view.tensor, tuple(view.permutation[axis] for axis in order))


def _block(node: Node) -> int:
    block = int(node.attribute("blocksize", 0))
    if block < 1:
        raise UnsupportedError("the block size has to be positive", "export the model again", f"blocksize = {block}")
    return block


def _four_axes(node: Node, builder: Builder, x: View) -> tuple[int, int, int, int]:
    shape = builder.shape(x)
    if len(shape) != 4:
        raise UnsupportedError(f"data of shape {list(shape)}", "only maps of 4 axes are supported", node.input_names[0])
    batch, channels, height, width = shape
    return batch, channels, height, width


def _does_not_divide(what: str, block: int) -> UnsupportedError:
    return UnsupportedError(what, "export the model again", f"blocksize = {block}")
