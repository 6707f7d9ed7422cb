"""What the original ONNX model expects at an input: its shape and, for images, where height, width and channels are."""

from __future__ import annotations

from dataclasses import dataclass

from quantmcu.errors import UsageError
from quantmcu.ir import Graph


@dataclass(frozen=True)
class ImageGeometry:
    """An input read as an image: its size and the layout in which the model wants it."""

    height: int
    width: int
    channels: int
    layout: str
    """"NCHW" or "NHWC"."""


@dataclass(frozen=True)
class InputSpec:
    """One input of the original ONNX model. shape: in the model's own layout, the batch of 1 included."""

    name: str
    shape: tuple[int, ...]

    def image_geometry(self, channels: int | None = None) -> ImageGeometry:
        """The input as an image of `channels` channels (1 or 3 when None).

        Raises:
            UsageError: the input is no image, or both layouts are possible.
        """
        wanted = (channels,) if channels is not None else (1, 3)
        expected = " or ".join(str(count) for count in wanted)
        if len(self.shape) != 4:
            raise UsageError(
                f"the input has shape {self.shape} and is not an image",
                f"input {self.name}",
                "images and --preprocess need an input of four dimensions, NCHW or NHWC",
                "give the data as .npz or .npy, already preprocessed, without --preprocess",
            )
        _, first, _, last = self.shape
        candidates = [layout for layout, size in (("NCHW", first), ("NHWC", last)) if size in wanted]
        if not candidates:
            raise UsageError(
                f"no axis of the input {self.shape} can hold the {expected} colour channels",
                f"input {self.name}",
                "channels are the second axis (NCHW) or the last one (NHWC)",
                "check color_order in the preprocessing file, or give the data as .npz or .npy",
            )
        if len(candidates) == 2:
            raise UsageError(
                f"the layout of the input {self.shape} is ambiguous",
                f"input {self.name}",
                f"the second axis ({first}) and the last one ({last}) may both be the channels: NCHW or NHWC",
                "give the data as .npz or .npy in the model's own layout, without --preprocess",
            )
        (layout,) = candidates
        if layout == "NCHW":
            return ImageGeometry(self.shape[2], self.shape[3], first, layout)
        return ImageGeometry(self.shape[1], self.shape[2], last, layout)


def input_specs(graph: Graph) -> tuple[InputSpec, ...]:
    """The inputs of the ONNX model that `graph` was imported from, in the model's order and layout."""
    layouts = graph.input_layouts or (None,) * len(graph.inputs)
    return tuple(
        InputSpec(name, original_shape(graph.tensor(name).shape, layout))
        for name, layout in zip(graph.inputs, layouts, strict=True)
    )


def original_shape(shape: tuple[int, ...], permutation: tuple[int, ...] | None) -> tuple[int, ...]:
    """Shape in the ONNX model of a tensor that has `shape` in the graph; `permutation` as in `Graph.input_layouts`."""
    if permutation is None:
        return shape
    original = [0] * len(shape)
    for ours, theirs in enumerate(permutation):
        original[theirs] = shape[ours]
    return tuple(original)
